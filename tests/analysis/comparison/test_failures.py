"""What is not a number hides nothing: it comes last, is said to be none, and leaves the rest as it would be alone."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import dpm_ppl as dpm
from dpm_ppl.analysis.comparison.comparison import compare_bounds
from dpm_ppl.analysis.plots.chain import plot_bound_per_step
from dpm_ppl.analysis.plots.curves import plot_ladder
from dpm_ppl.analysis.plots.weights import plot_exact_against_estimated, plot_khat_per_datum, plot_weights
from dpm_ppl.analysis.tree.tree import bound_group, held_out_elpd, pointwise_group, weights_group
from dpm_ppl.app.console.tables import print_importance_scores, print_scores
from dpm_ppl.app.pages.figures import _limits
from dpm_ppl.estimates import Estimate
from dpm_ppl.evaluation.evaluation import _check_order, measure
from tests.analysis.plots.backends import panel

KEY = jax.random.key(0)
DRAWS = np.random.default_rng(1).normal(size=400)
TRUE = norm.logpdf(DRAWS)
FIGURES = {
    "good": TRUE,
    "poor": TRUE - 1,
    "zero": np.where(DRAWS > 2, -np.inf, TRUE),
    "also zero": np.where(DRAWS > 1, -np.inf, TRUE),
    "none": np.where(np.arange(400) == 7, np.nan, TRUE),
    "above all": np.where(np.arange(400) == 7, np.inf, TRUE),
}
TIERS = [{"good"}, {"poor"}, {"zero", "also zero"}, {"none", "above all"}]
WORDS = {"none": "no figure, for its log-likelihood is not a number for 1 of 400 data", "above all": ": inf bits"}
WORDS |= {"zero": "is minus infinity for", "also zero": "is minus infinity for"}
ORDERS = [
    (("none", "good"), ["1", "2"]),
    (("none", "poor", "good"), ["1", "2", "3"]),
    (("zero", "poor"), ["1", "2"]),
    (("zero", "also zero", "poor"), ["1", "2 to 3", "2 to 3"]),
    (("none", "zero", "good"), ["1", "2", "3"]),
    (("above all", "none", "good"), ["1", "2 to 3", "2 to 3"]),
    (("zero", "also zero"), ["1 to 2", "1 to 2"]),
    (("none", "above all"), ["1 to 2", "1 to 2"]),
]


def tier(name):
    return next(i for i, names in enumerate(TIERS) if name in names)


@pytest.mark.parametrize("units", [None, dpm.Dataset.from_levels(np.arange(8).reshape(4, 2), 8).units])
@pytest.mark.parametrize(("names", "ranks"), ORDERS)
def test_finite_figures_then_minus_infinity_then_none(names, ranks, units, unchecked):
    """Whatever the order in which methods are given, and whether more is better or less."""
    for given in (names, names[::-1]):
        compared = compare_bounds({name: FIGURES[name] for name in given}, exact=TRUE, units=units)
        order = [one.name for one in compared.entries]
        assert [tier(name) for name in order] == sorted(map(tier, names))
        assert compared.rank_words == ranks
        *said, last = compared.verdicts()
        for place, (name, words) in enumerate(zip(order, said, strict=True)):
            expected = WORDS.get(name, "best figure" if place == 0 else "behind it")
            assert (expected if units is None else expected.replace("inf bits", "-inf bits")) in words
            assert ("tied with" in words) == (tier(name) > 1 and "to" in ranks[place])
        assert ("Not known of none" in last) == ("none" in names and "above all" not in names)
        assert "nan" not in str(compared).lower()
        json.dumps(compared.as_json(), allow_nan=False)


def test_an_exact_value_may_be_impossible():
    exact = np.where(np.arange(400) == 3, -np.inf, TRUE)
    compared = compare_bounds({"a": exact, "b": TRUE}, exact=exact)
    assert compared.exceeding == ["b"]
    assert compared.verdicts()[-1].startswith("Above the exact value")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_exact_value_must_be_a_number(wrong):
    with pytest.raises(dpm.InputError, match="exact: expected log-likelihoods that are numbers, got 1 of 400"):
        compare_bounds({"a": TRUE}, exact=np.where(np.arange(400) == 3, wrong, TRUE))
    with pytest.raises(dpm.InputError, match="exact: expected log-likelihoods that are numbers, got 80 of 80"):
        measure(diffusion(0.0), DATA, KEY, exact=lambda z: np.full(len(z), wrong))


class Breaking(dpm.networks.AbstractNetwork):
    """Zero outputs, but no numbers from `limit` on, on the side of `sign`."""

    limit: float = eqx.field(static=True)
    sign: float = eqx.field(static=True)

    def __call__(self, x_t, step):
        return jnp.where(self.sign * x_t < self.limit, 0.0, jnp.nan)[..., None] * jnp.ones(2)


def diffusion(limit, sign=1.0):
    return dpm.Diffusion(dpm.GaussianKernel(), dpm.LogSNR(4, 8.0, -2.0), Breaking(limit, sign), (1,))


NUM_WEIGHED, FAILED, NOT_WEIGHED = 60, 7, 70
VALUES = DRAWS[:80, None].copy()
VALUES[[FAILED, NOT_WEIGHED], 0] = 50.0, -50.0
DATA = dpm.Dataset.from_continuous(VALUES, reference=dpm.Dataset.from_continuous(DRAWS[:, None]))


@pytest.fixture(scope="module")
def measured():
    """One datum fails of those with weights, one of the others, or all; and what the same chain gives otherwise."""
    limits = {"one": (20.0,), "another": (20.0, -1.0), "all": (-np.inf,), "none": (np.inf,)}
    options = {"num_particles": 64, "num_points": NUM_WEIGHED}
    return {name: measure(diffusion(*limit), DATA, KEY, **options) for name, limit in limits.items()}


def test_a_diffusion_that_fails_on_one_datum_says_so_and_keeps_the_others(measured, capsys):
    one, none = measured["one"], measured["none"]
    kept = np.arange(len(VALUES)) != FAILED
    np.testing.assert_array_equal(np.isnan(one.scores.K_values), ~kept)
    np.testing.assert_allclose(one.scores.K_values[kept], none.scores.K_values[kept], rtol=1e-6)
    kept = kept[:NUM_WEIGHED]
    np.testing.assert_array_equal(np.isnan(one.weights.log_likelihood), ~kept)
    np.testing.assert_allclose(one.weights.khat[kept], none.weights.khat[kept], rtol=1e-4)
    assert one.weights.verdict[FAILED] != "reliable"
    assert one.importance.ess_median == pytest.approx(np.median(one.weights.ess[kept]))
    assert one.importance.khat["largest"] == pytest.approx(np.nanmax(one.weights.khat[kept]))
    assert one.importance.doubtful_share >= 1 / NUM_WEIGHED
    print_scores({"one": one.scores})
    print_importance_scores(one)
    shown = capsys.readouterr().out
    assert "one: K is not a number for 1 of 80 data" in shown
    assert "no figure" in shown
    assert "nan" not in shown


def test_one_failure_does_not_hide_that_data_are_in_an_order():
    K_values = np.r_[np.nan, np.full(50, -1.0), np.full(50, -9.0)] + np.random.default_rng(0).normal(size=101)
    with pytest.raises(dpm.InputError, match="data in random order"):
        _check_order(K_values, 40)
    _check_order(np.random.default_rng(0).permutation(K_values), 40)


def test_it_stands_last_in_a_comparison(measured):
    compared = compare_bounds(measured)
    assert [one.name for one in compared.entries] == ["none", "one", "another", "all"]
    assert compared.rank_words == ["1", *["2 to 4"] * 3]
    assert not any(one.is_finite for one in compared.entries[1:])
    _, one, another, of_all, *_ = compared.verdicts()
    for said in (one, another):
        assert "no figure, for its log-likelihood is not a number for 1 of 80 data; tied with" in said
    assert "not a number for 80 of 80 data" in of_all
    assert "nan" not in str(compared)
    json.dumps(compared.as_json(), allow_nan=False)


def test_without_any_tail_nothing_is_said_of_one(measured, capsys):
    print_importance_scores(measured["all"])
    shown = capsys.readouterr().out
    assert "ESS unknown of 64 draws (median); no tail that k-hat could be fitted to" in " ".join(shown.split())
    assert "nan" not in shown


def test_plots_show_the_others_and_say_how_many_they_leave_out(measured):
    one, of_all = (weights_group(measured[name].weights) for name in ("one", "all"))
    shown = panel(plot_ladder(one, backend="none"), "bound")
    assert (
        shown.x_label
        == f"particles S behind one estimate (densities of standardised data, 1 of {NUM_WEIGHED} data left out)"
    )
    kept = np.delete(one["ladder"].values, FAILED, axis=0)
    np.testing.assert_allclose(shown.lines[0][:, 1], kept.mean(axis=0) / np.log(2))
    exact = measured["none"].weights.log_likelihood
    shown = panel(plot_exact_against_estimated(one, exact, backend="none"), "log_likelihood")
    assert f"1 of {NUM_WEIGHED} data left out" in shown.y_label
    shown = panel(plot_khat_per_datum(of_all, backend="matplotlib"), "khat")
    assert not any(len(drawn) for drawn in shown.points)
    assert shown.x_label == f"datum ({NUM_WEIGHED} without k-hat)"
    with pytest.raises(dpm.InputError, match="data with a ladder"):
        plot_ladder(of_all, backend="none")
    terms = bound_group(dpm.bound(diffusion(20.0), jnp.asarray(DATA.values), KEY))
    shown = panel(plot_bound_per_step(terms, backend="none"), "divergence")
    assert shown.x_label == "step t, 1 of 80 data left out"
    assert np.isfinite(shown.lines[0]).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_steep_ladder_flattens_no_other(sign):
    """The limits leave out what is far worse, never the last values or the exact value, whichever way is better."""

    def ladder(*values):
        return {2**i: Estimate(sign * value, 0.1, 9) for i, value in enumerate(values)}

    exact = Estimate(sign * 2.0, 0.1, 9)
    near, steep = ladder(-1.5, -1.2, -1.0), ladder(-80.0, -4.0, -1.5)
    assert _limits({"near": near}, exact, sign) is None
    for lost in (np.nan, -np.inf):
        limits = _limits({"near": near, "steep": steep | {9: ladder(lost)[1]}}, exact, sign)
        assert limits is not None
        low, high = sorted(sign * limit for limit in limits)
        assert -80 < low < -1.5
        assert high > 2


def test_weights_that_are_no_numbers_are_named(measured):
    kept = dpm.log_likelihood(diffusion(20.0), VALUES[:9].astype(np.float32), KEY, 64, keep_log_weights=True)
    collection = plot_weights(weights_group(kept), data=[0, FAILED], backend="none")
    names = [str(name) for name in collection.get_aes_as_dataset("color")["member"].values]
    assert names[1] == f"datum {FAILED}, weights that are no numbers"


@pytest.mark.parametrize(("khat", "warns"), [(0.3, False), (-np.inf, False), (0.8, True), (np.nan, True)])
def test_an_unknown_shape_is_not_a_good_one(khat, warns):
    assert held_out_elpd(pointwise_group(TRUE[:3]), khat=[0.2, khat, 0.1]).warning == warns
