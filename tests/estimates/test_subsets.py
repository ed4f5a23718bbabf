"""Means over all data of figures that are known for some: unbiased, and with errors that cover."""

import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates.standard_errors import estimate
from dpm_ppl.estimates.subsets import extended_mean

REPETITIONS = 1000


def world(rng, num_all, num, heavy_share, misfit):
    """log p of data, K below it by half the variance of log-weights, and an exact value that the model misses.

    A share of the data has weights of variance 4, the others of variance 0.1.
    """
    log_p = -rng.exponential(size=num_all)
    variance = np.where(rng.random(num_all) < heavy_share, 4.0, 0.1)
    K = log_p - variance / 2 + np.sqrt(variance / 8) * rng.normal(size=num_all)
    values = log_p[:num] - 0.1 * variance[:num]
    exact = log_p + misfit * (misfit / 2 + rng.normal(size=num_all))
    return K, values, exact, -1 - 0.1 * (0.1 + 3.9 * heavy_share)


def repeated(num_all, num, heavy_share, misfit, known_exactly=True, seed=0):
    """Errors and standard errors of many samples."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(REPETITIONS):
        K, values, exact, truth = world(rng, num_all, num, heavy_share, misfit)
        result = extended_mean(values, np.arange(num), K, [exact - K] if known_exactly else [])
        found.append((result.mean - truth, result.se))
    return np.array(found).T


@pytest.mark.parametrize("known_exactly", [True, False])
@pytest.mark.parametrize(("num_all", "num"), [(60, 10), (1000, 10), (1000, 50), (1000, 100), (300, 300)])
@pytest.mark.parametrize(("heavy_share", "misfit"), [(0.0, 1.0), (0.1, 0.1), (0.1, 1.0), (0.5, 0.3)])
def test_errors_cover_and_nothing_is_biased(num_all, num, heavy_share, misfit, known_exactly):
    errors, se = repeated(num_all, num, heavy_share, misfit, known_exactly)
    assert np.mean(np.abs(errors) <= 1.96 * se) > 0.93 - 3 * np.sqrt(0.93 * 0.07 / REPETITIONS)
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(REPETITIONS)


def test_K_and_the_exact_value_are_used_together():
    """Less error than with either alone, and than the exact value which the model misses."""
    together, _ = repeated(1000, 100, 0.3, 0.3)
    K_alone, _ = repeated(1000, 100, 0.3, 0.3, known_exactly=False)
    rng, exact_alone = np.random.default_rng(0), []
    for _ in range(REPETITIONS):
        _, values, exact, truth = world(rng, 1000, 100, 0.3, 0.3)
        exact_alone.append(exact.mean() + (values - exact[:100]).mean() - truth)
    assert together.std() < 0.9 * min(K_alone.std(), np.std(exact_alone))


def test_what_is_left_of_the_rest_is_what_the_figure_leaves():
    """The gap to the exact value by the same regression: exact - figure, to rounding."""
    K, values, exact, _ = world(np.random.default_rng(0), 200, 40, 0.2, 0.5)
    known = np.arange(40)
    figure = extended_mean(values, known, K, [exact - K])
    gap = extended_mean(exact[known] - values, known, exact - K, [K])
    assert exact.mean() - figure.mean == pytest.approx(gap.mean, abs=1e-12)


def test_from_all_data_it_is_the_plain_mean():
    control, values = np.random.default_rng(0).normal(size=(2, 10))
    assert extended_mean(values, np.arange(10), control) == estimate(values)


def test_controls_that_say_nothing_change_nothing():
    values = np.random.default_rng(0).normal(size=20)
    plain, extended = estimate(values), extended_mean(values, np.arange(20), np.zeros(10_000), [np.ones(10_000)])
    assert (extended.mean, extended.se) == pytest.approx((plain.mean, plain.se))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_no_help(bad):
    values, control = np.random.default_rng(0).normal(size=20), np.random.default_rng(1).normal(size=100)
    other = np.where(np.arange(100) == 50, bad, 0.0)
    assert extended_mean(values, np.arange(20), control, [other]) == extended_mean(values, np.arange(20), control)
    found = extended_mean(values, np.arange(20), other)
    assert np.isnan(found.mean) if np.isnan(bad) else found == estimate(values)


@pytest.mark.parametrize("known", [np.arange(3), np.arange(0)])
def test_values_of_unknown_data(known):
    with pytest.raises(InputError, match="known: expected one place for each of the values"):
        extended_mean(np.zeros(2), known, np.zeros(10))
