import json

import numpy as np
import pytest

from dpm_ppl._errors import InputError
from dpm_ppl.estimates import Estimate, estimate, extended_mean, paired_difference


def test_mean_and_standard_error_of_known_values():
    result = estimate([1.0, 2.0, 3.0, 4.0])
    assert (result.mean, result.num) == (2.5, 4)
    assert result.se == pytest.approx(np.sqrt(5 / 3 / 4), rel=1e-14)


def test_standard_error_covers_the_truth():
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(400, 1000))
    results = estimate(draws.T)
    assert np.shape(results.mean) == np.shape(results.se) == (400,)
    np.testing.assert_allclose(results.se, 2.0 / np.sqrt(1000), rtol=0.12)
    covered = np.mean(np.abs(results.mean - 3.0) < 1.96 * results.se)
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 400))


def test_float32_values_are_accumulated_in_float64():
    values = np.full(2**20, 0.1, np.float32)
    assert estimate(values).mean == pytest.approx(float(np.float32(0.1)), rel=1e-14)


def test_arithmetic_agrees_with_that_of_the_values():
    values = np.random.default_rng(1).normal(size=50)
    for result, same in [
        (2 * estimate(values) + 3, 2 * values + 3),
        (-estimate(values) - 1, -values - 1),
        (1 + estimate(values) / -4, 1 - values / 4),
    ]:
        expected = estimate(same)
        assert (result.mean, result.se) == pytest.approx((expected.mean, expected.se), rel=1e-12)


def test_pairing_removes_shared_noise():
    rng = np.random.default_rng(2)
    shared = 100 * rng.normal(size=1000)
    difference = paired_difference(shared + 1 + rng.normal(size=1000), shared)
    assert difference.mean == pytest.approx(1.0, abs=4 * float(difference.se))
    assert difference.se == pytest.approx(1 / np.sqrt(1000), rel=0.1)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Estimate(2.61349, 0.0123, 10_000), "2.613 ± 0.012 bits/point (n = 10,000)"),
        (Estimate(-317.2, 2.7, 100), "-317.2 ± 2.7 bits/point (n = 100)"),
        (Estimate(1234.5, 56.0, 7), "1234 ± 56 bits/point (n = 7)"),
        (Estimate(-14.43856, 0.0, 5), "-14.4386 bits/point (n = 5)"),
        (Estimate(-14.43856, 1e-16, 5), "-14.4386 ± < 0.0001 bits/point (n = 5)"),
        (Estimate(1.5, float("nan"), 1), "1.5000 ± unknown bits/point (n = 1)"),
        (Estimate(float("nan"), float("nan"), 3), "no figure (n = 3)"),
        (Estimate(float("-inf"), float("nan"), 3), "-inf bits/point (n = 3)"),
    ],
)
def test_figures_are_shown_to_the_digits_they_have(result, text):
    assert result.format("bits/point") == text


def test_json_holds_no_nan():
    assert json.dumps(estimate([1.5]).as_json(), allow_nan=False) == '{"mean": 1.5, "se": null}'
    assert json.dumps(estimate([1.0, 1.0]).as_json()) == '{"mean": 1.0, "se": 0.0}'


def test_an_infinite_value_has_no_standard_error():
    result = estimate([-np.inf, 1.0])
    assert result.mean == -np.inf
    assert np.isnan(result.se)


@pytest.mark.parametrize("values", [[], np.ones(())])
def test_nothing_to_average(values):
    with pytest.raises(InputError, match="at least one value"):
        estimate(values)


def test_values_that_do_not_pair_up():
    with pytest.raises(InputError, match="b_values: expected one value for each of a_values"):
        paired_difference([1.0, 2.0], [1.0])


def test_extended_to_data_that_were_not_compared():
    """Over many samples: unbiased, with the error it says, which is smaller than that of the few alone."""
    generator = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(2000):
        control = generator.normal(size=100)
        gains = 1 + 0.3 * generator.normal(size=20) - 0.2 * control[:20]
        result = extended_mean(control, gains, np.arange(20))
        means.append(result.mean)
        errors.append(result.se)
    assert abs(np.mean(means) - 1) < 4 * np.std(means) / np.sqrt(2000)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.06)
    assert np.std(means) < 0.6 / np.sqrt(20)
    assert result.num == 20


def test_extended_from_all_data_is_the_plain_mean():
    control, gains = np.random.default_rng(0).normal(size=(2, 10))
    result, plain = extended_mean(control, gains, np.arange(10)), estimate(control + gains)
    assert (result.mean, result.se) == pytest.approx((plain.mean, plain.se))


@pytest.mark.parametrize("known", [np.arange(3), np.arange(0)])
def test_gains_of_unknown_data(known):
    with pytest.raises(InputError, match="known: expected one place for each of the gains"):
        extended_mean(np.zeros(10), np.zeros(2), known)
