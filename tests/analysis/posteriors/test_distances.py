import math

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

import dpm_ppl as dpm
from dpm_ppl.analysis.posteriors.distances import (
    Distance,
    classifier_two_sample,
    maximum_mean_discrepancy,
    sliced_wasserstein,
)
from dpm_ppl.estimates import Estimate

DISTANCES = {
    "sliced W1": lambda a, b, **options: sliced_wasserstein(a, b, p=1, num_projections=20, **options),
    "sliced W2": lambda a, b, **options: sliced_wasserstein(a, b, p=2, num_projections=20, **options),
    "MMD²": maximum_mean_discrepancy,
    "C2ST accuracy": classifier_two_sample,
    "C2ST neighbours": lambda a, b, **options: classifier_two_sample(a, b, classifier="neighbours", **options),
}
every_distance = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)


def gaussian(seed, num_draws, mean=0.0, scale=1.0, num_coordinates=3):
    return np.random.default_rng(seed).normal(mean, scale, (num_draws, num_coordinates))


def assert_near(distance, exact, allowance=0.0):
    assert abs(distance.value.mean - exact) <= 4 * distance.value.se + allowance
    assert distance.value.se < 0.1 * exact, "the margin would let anything pass"


@pytest.mark.parametrize(("n", "m"), [(1500, 1500), (1500, 900)])
def test_sliced_w2_between_isotropic_gaussians(n, m):
    # W2^2 of the projections is (theta . delta)^2 + (s - r)^2, and E (theta . delta)^2 = |delta|^2 / D.
    a, b = gaussian(0, n), gaussian(1, m, [1.0, -2.0, 0.5], 2.0)
    result = sliced_wasserstein(a, b, num_projections=400, num_permutations=9)
    assert_near(result, math.sqrt(5.25 / 3 + 1.0))


def test_sliced_w1_between_shifted_gaussians():
    # W1 of the projections is |theta . delta|, and E |theta . delta| = |delta| / 2 on the sphere in three dimensions.
    result = sliced_wasserstein(gaussian(0, 1500), gaussian(1, 1000, 2.0), p=1, num_projections=400, num_permutations=9)
    assert_near(result, 2 * math.sqrt(3) / 2)


def test_unequal_sizes_are_weighted_exactly():
    # Every draw of b repeated as often as leaves the empirical law unchanged.
    a, b = gaussian(0, 12), gaussian(1, 18, 0.7)
    one = sliced_wasserstein(a, b, num_permutations=1).value.mean
    two = sliced_wasserstein(np.repeat(a, 3, axis=0), np.repeat(b, 2, axis=0), num_permutations=1).value.mean
    assert one == pytest.approx(two, rel=1e-12)


def test_one_coordinate_needs_no_directions():
    from scipy.stats import wasserstein_distance

    a, b = gaussian(0, 40, num_coordinates=1), gaussian(1, 25, 0.5, num_coordinates=1)
    result = sliced_wasserstein(a, b, p=1, num_permutations=1)
    assert result.value.mean == pytest.approx(wasserstein_distance(a[:, 0], b[:, 0]), rel=1e-12)


def test_error_of_sliced_w2_is_the_spread_over_repetitions():
    results = [
        sliced_wasserstein(
            gaussian(2 * i, 100), gaussian(2 * i + 1, 150, 1.0), num_projections=30, num_permutations=1, seed=i
        )
        for i in range(60)
    ]
    spread = np.std([result.value.mean for result in results], ddof=1)
    assert np.mean([result.value.se for result in results]) == pytest.approx(spread, rel=4 / math.sqrt(2 * 60))


def exact_mmd2(shift, scale, num_coordinates, bandwidth):
    """E k for Gaussian differences: x - x' has variance 2, x - y 1 + s^2 and mean delta, y - y' 2 s^2."""

    def expected_kernel(variance, squared_mean):
        total = bandwidth**2 + variance
        return (bandwidth**2 / total) ** (num_coordinates / 2) * math.exp(-squared_mean / (2 * total))

    across = expected_kernel(1 + scale**2, num_coordinates * shift**2)
    return expected_kernel(2, 0) + expected_kernel(2 * scale**2, 0) - 2 * across


@pytest.mark.parametrize("bandwidth", [0.7, 3.0])
def test_mmd_between_gaussians(bandwidth):
    result = maximum_mean_discrepancy(
        gaussian(0, 1500), gaussian(1, 1000, 0.8, 1.5), bandwidth=bandwidth, num_permutations=9
    )
    assert_near(result, exact_mmd2(0.8, 1.5, 3, bandwidth))


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_mmd_is_unbiased_and_its_error_covers(shift):
    exact = exact_mmd2(shift, 1.0, 3, 1.5)
    results = [
        maximum_mean_discrepancy(
            gaussian(2 * i, 40), gaussian(2 * i + 1, 60, shift), bandwidth=1.5, num_permutations=60
        ).value
        for i in range(200)
    ]
    means, errors = np.array([(result.mean, result.se) for result in results]).T
    assert abs(means.mean() - exact) < 4 * means.std() / math.sqrt(200)
    assert np.mean(np.abs(means - exact) <= 1.96 * errors) > 0.93 - 3 * math.sqrt(0.93 * 0.07 / 200)
    assert errors.mean() < 1.8 * means.std(), "an error that is too wide covers anything"


def test_mmd_agrees_with_the_sums_over_pairs_whatever_the_chunk():
    a, b = gaussian(0, 23), gaussian(1, 31, 0.5)
    pairs = np.exp(-0.5 * np.square(np.concatenate([a, b])[:, None] - np.concatenate([a, b])).sum(-1))
    off = ~np.eye(54, dtype=bool)
    expected = (
        pairs[:23, :23][off[:23, :23]].mean() + pairs[23:, 23:][off[23:, 23:]].mean() - 2 * pairs[:23, 23:].mean()
    )
    for rows_chunk in (1, 7, 100):
        result = maximum_mean_discrepancy(a, b, bandwidth=1.0, rows_chunk=rows_chunk)
        assert result.value.mean == pytest.approx(expected, rel=1e-10)


class FirstCoordinate(ClassifierMixin, BaseEstimator):
    """A rule of known accuracy."""

    def fit(self, x, y):
        return self

    def predict(self, x):
        return (x[:, 0] > 0).astype(int)


@pytest.mark.parametrize("shift", [0.0, 1.0, 4.0])
def test_the_error_of_an_accuracy_covers_up_to_that_of_one(shift):
    """Of 20 draws a rule of accuracy 0.98 mostly gets all right, which does not make it sure."""
    covered = []
    for i in range(600):
        a, b = gaussian(2 * i, 20, -shift / 2, num_coordinates=1), gaussian(2 * i + 1, 20, shift / 2, num_coordinates=1)
        value = classifier_two_sample(a, b, classifier=FirstCoordinate()).value
        covered.append(abs(value.mean - norm.cdf(shift / 2)) <= 1.96 * value.se)
    assert np.mean(covered) > 0.93 - 3 * math.sqrt(0.93 * 0.07 / 600)


@pytest.mark.parametrize("classifier", ["logistic", "neighbours", LogisticRegression()])
def test_classifier_reaches_the_bayes_rate_of_a_shift(classifier):
    a, b = gaussian(0, 1500), gaussian(1, 1500, 0.8)
    bayes = norm.cdf(0.8 * math.sqrt(3) / 2)
    assert_near(classifier_two_sample(a, b, classifier=classifier), bayes, 0.02 * (classifier == "neighbours"))


def test_logistic_classifier_sees_scale_and_correlation():
    # Equal means: the best rule is |x| < c, where the two densities are equal.
    a, b = gaussian(0, 2000, num_coordinates=1), gaussian(1, 2000, scale=2.0, num_coordinates=1)
    edge = math.sqrt(2 * math.log(2) / (1 - 1 / 4))
    bayes = 0.5 * (1 - 2 * norm.sf(edge)) + norm.sf(edge / 2)
    assert_near(classifier_two_sample(a, b), bayes)
    correlated = gaussian(2, 1000, num_coordinates=2) @ np.linalg.cholesky([[1, 0.9], [0.9, 1]]).T
    assert classifier_two_sample(gaussian(3, 1000, num_coordinates=2), correlated).p_value < 1e-6


@every_distance
def test_exact_draws_give_the_null_value(distance):
    results = [distance(gaussian(2 * i, 60), gaussian(2 * i + 1, 40), seed=i) for i in range(50)]
    values = dpm.estimate([result.value.mean for result in results])
    null = np.mean([result.null_mean for result in results])
    assert abs(values.mean - null) < 4 * values.se
    spread = values.se * math.sqrt(50)
    assert np.mean([result.null_sd for result in results]) == pytest.approx(spread, rel=4 / math.sqrt(2 * 50))
    p_values = np.array([result.p_value for result in results])
    # Counts below these levels are binomial; a test that is rather cautious is no harm, one that cries wolf is.
    for level in (0.1, 0.5):
        assert (p_values <= level).sum() <= binom.ppf(1 - 3e-5, 50, level)
    assert (p_values <= 0.7).sum() >= binom.ppf(3e-5, 50, 0.7) - 10


def test_classifier_is_as_sure_as_the_binomial_law_says():
    """Cross-validated accuracies of nearest neighbours spread by 1.4 times as much: their folds share the draws."""
    classify = DISTANCES["C2ST neighbours"]
    results = [
        classify(gaussian(2 * i, 100, num_coordinates=1), gaussian(2 * i + 1, 100, num_coordinates=1), seed=i)
        for i in range(200)
    ]
    spread = np.std([result.value.mean for result in results], ddof=1)
    assert spread == pytest.approx(results[0].null_sd, rel=4 / math.sqrt(2 * 200))
    assert sum(result.p_value <= 0.05 for result in results) <= binom.ppf(1 - 3e-5, 200, 0.05)


@pytest.mark.parametrize("name", ["sliced W1", "sliced W2", "MMD²"])
def test_ties_count_for_the_null(name):
    """Two equal sets of bits are as near as can be, so all permutations reach their distance, rounding or not."""
    for seed in range(5):
        bits = np.random.default_rng(seed).integers(0, 2, (30, 1))
        assert DISTANCES[name](bits, bits[::-1]).p_value == 1


@every_distance
def test_other_law_is_told_from_exact_draws(distance):
    result = distance(gaussian(0, 300), gaussian(1, 200, 0.7))
    assert result.p_value <= 0.005
    assert result.value.mean > result.null_mean + 4 * result.null_sd


@every_distance
def test_events_are_flattened_and_seeds_repeat(distance):
    a, b = gaussian(0, 60, num_coordinates=6), gaussian(1, 50, 0.3, num_coordinates=6)
    assert distance(a, b, seed=3) == distance(a.reshape(60, 2, 3), b.reshape(50, 2, 3), seed=3)


def test_projections_in_chunks_are_the_same():
    a, b = gaussian(0, 30), gaussian(1, 40, 0.5)
    one, two = (sliced_wasserstein(a, b, num_projections=20, projections_chunk=chunk) for chunk in (3, 100))
    assert one.value.mean == pytest.approx(two.value.mean, rel=1e-12)
    assert one.p_value == two.p_value


def test_a_distance_reads_with_its_error_and_null_value():
    shown = str(Distance("MMD²", Estimate(0.0123, 0.0031, 100), 0.0101, 0.0022, 0.25))
    assert shown == "0.0123 ± 0.0031 (exact draws: 0.0101 ± 0.0022; p = 0.25)"


@every_distance
@pytest.mark.parametrize(
    ("b", "what"),
    [
        (np.zeros((5, 2)), "draws of shape"),
        (np.full((50, 3), np.nan), "finite draws"),
        (np.zeros((1, 3)), "finite draws"),
    ],
)
def test_bad_draws_are_refused(distance, b, what):
    with pytest.raises(dpm.InputError, match=what):
        distance(gaussian(0, 50), b)


def test_bad_options_are_refused(unchecked):
    a = gaussian(0, 30)
    for options in ({"p": 3}, {"num_projections": 0}, {"num_bootstraps": 1}):
        with pytest.raises(dpm.InputError):
            sliced_wasserstein(a, a, **options)
    with pytest.raises(dpm.InputError, match="bandwidth"):
        maximum_mean_discrepancy(np.zeros((9, 2)), np.zeros((9, 2)))
    with pytest.raises(dpm.InputError, match="classifier"):
        classifier_two_sample(a, a, classifier="oracle")
