import json

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import skew, t

from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates.standard_errors import Estimate, estimate, paired_difference


@pytest.mark.parametrize("num", [2, 10, 1000])
def test_mean_and_standard_error_of_known_values(num):
    """Student's quantile, and what Hall's expansion asks for the skewness, estimated with a prior of 12 from 20."""
    values = np.random.default_rng(0).exponential(size=num)
    result = estimate(values)
    assert (result.mean, result.num) == (pytest.approx(values.mean()), num)
    squared = float(skew(values, bias=False)) ** 2 if num > 2 else 0.0
    squared = (num * squared + 20 * 12) / (num + 20)
    wider = t.ppf(0.975, num - 1) / 1.96 * (1 + (1.96**4 + 2 * 1.96**2 - 3) / 18 * squared / num)
    assert result.se == pytest.approx(wider * values.std(ddof=1) / np.sqrt(num), rel=1e-9)


LAWS = {
    "normal": (lambda rng, shape: rng.normal(3.0, 2.0, shape), 3.0),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1.0),
    "log-density of N(0, 1)": (lambda rng, shape: -rng.chisquare(1, shape) / 2, -0.5),
    "one in five is 2 larger": (lambda rng, shape: 0.3 * rng.normal(size=shape) + 2 * (rng.random(shape) < 0.2), 0.4),
}


@pytest.mark.parametrize("num", [5, 10, 20, 100, 1000])
@pytest.mark.parametrize("law", LAWS)
def test_errors_cover_the_truth_of_skewed_and_few_values(law, num):
    draw, truth = LAWS[law]
    results = estimate(draw(np.random.default_rng(num), (num, 4000)))
    assert np.shape(results.mean) == np.shape(results.se) == (4000,)
    covered = np.mean(np.abs(results.mean - truth) <= 1.96 * np.asarray(results.se))
    assert covered > 0.93 - 3 * np.sqrt(0.93 * 0.07 / 4000)


def test_many_values_have_the_error_sd_over_sqrt_n():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(500, 50))
    plain = values.std(axis=0, ddof=1) / np.sqrt(500)
    wider = np.asarray(estimate(values).se) / plain
    assert ((wider > 1) & (wider < 1.01)).all()


def test_methods_that_are_tied_are_seldom_called_apart():
    """At most as often as two standard errors say, for three data as for a hundred."""
    rng = np.random.default_rng(1)
    for num in (2, 3, 5, 10, 100):
        found = estimate(rng.normal(size=(num, 4000)))
        apart = np.mean(np.abs(found.mean) > 2 * np.asarray(found.se))
        assert apart < 0.0455 + 3 * np.sqrt(0.0455 * 0.9545 / 4000)


def test_float32_values_are_accumulated_in_float64():
    values = np.full(2**20, 0.1, np.float32)
    assert estimate(values).mean == pytest.approx(float(np.float32(0.1)), rel=1e-14)


@pytest.mark.parametrize("number", [2, np.float64(2), np.float32(2), np.int64(2), jnp.float32(2), jnp.asarray(2)])
def test_arithmetic_with_a_constant_agrees_with_that_of_the_values(number):
    values = np.random.default_rng(1).normal(size=50)
    for result, same in [
        (number * estimate(values) + number, 2 * values + 2),
        (-estimate(values) - number, -values - 2),
        (number - estimate(values), 2 - values),
        (1 + estimate(values) / -number, 1 - values / 2),
        (sum([estimate(values)]), values),
    ]:
        expected = estimate(same)
        assert isinstance(result, Estimate)
        assert (result.mean, result.se) == pytest.approx((expected.mean, expected.se), rel=1e-6)


A, B = estimate([1.0, 2.0, 3.0]), estimate([2.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "combine",
    [lambda: A - B, lambda: A + B, lambda: A * B, lambda: A / B, lambda: sum([A, B])],
    ids=["difference", "sum", "product", "ratio", "sum of a list"],
)
def test_arithmetic_that_would_forget_an_error_is_refused(combine, unchecked):
    with pytest.raises(InputError, match="paired_difference"):
        combine()


@pytest.mark.parametrize("constant", ["1", None, np.ones(3)])
def test_only_numbers_are_constants(constant, unchecked):
    with pytest.raises(InputError, match="expected a number"):
        _ = A + constant


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


def test_several_means_are_shown_side_by_side():
    values = np.arange(12.0).reshape(3, 2, 2)
    each = [estimate(values[:, i, j]).plus_minus() for i in range(2) for j in range(2)]
    assert str(estimate(values[:, 0])) == f"{each[0]} and {each[1]} (n = 3)"
    assert str(estimate(values)) == f"{each[0]}, {each[1]}, {each[2]} and {each[3]} (shape (2, 2), n = 3)"
    assert str(estimate(np.ones((3, 50)))).endswith(" and 40 more (n = 3)")


def test_json_holds_no_nan():
    assert json.dumps(estimate([1.5]).as_json(), allow_nan=False) == '{"mean": 1.5, "se": null}'
    assert json.dumps(estimate([1.0, 1.0]).as_json()) == '{"mean": 1.0, "se": 0.0}'


def test_a_value_that_is_no_number_is_neither_left_out_nor_spread():
    values = np.ones((5, 2))
    values[1, 0] = np.nan
    result = estimate(values)
    np.testing.assert_array_equal(result.mean, [np.nan, 1.0])
    np.testing.assert_array_equal(result.se, [np.nan, 0.0])


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
