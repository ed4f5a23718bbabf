"""Methods whose log-likelihoods are known: normal laws of several scales on data from N(0, 1)."""

import io
import json
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from rich.console import Console
from scipy.stats import norm

import dpm_ppl as dpm
from dpm_ppl.analysis.comparison.comparison import _difference, compare_bounds
from dpm_ppl.analysis.comparison.entry import Scale, entry_of, known_better
from dpm_ppl.evaluation import Measured, measure
from dpm_ppl.evaluation.importance_scores import summarise
from dpm_ppl.likelihood import LogLikelihood
from dpm_ppl.likelihood.running import RunningWeights
from dpm_ppl.methods.program import Program
from tests.instances import DIFFUSIONS, draw_data
from tests.methods.test_programs import BEST, X_0, density, exactly, program

KEY = jax.random.key(0)
DATA = dpm.Dataset(X_0, dpm.Dataset.from_continuous(X_0).units, True)
NORMAL = {"N(0, 1.2)": 1.2, "N(0, 2)": 2.0, "N(0, 1)": 1.0}
DRAWS = np.random.default_rng(1).normal(size=4000)
GIVEN = {name: norm.logpdf(DRAWS, scale=scale) for name, scale in NORMAL.items()}
TRUE = norm.logpdf(DRAWS)


@pytest.fixture(scope="module")
def measured():
    """Guides from best to worst of one model, whose exact law is known: they differ in K and not in likelihood."""
    options = {"num_draws": 4, "num_particles": 256, "num_points": 100}
    data = dpm.Dataset.from_continuous(X_0, reference=DATA)
    standardised = X_0.std()

    def exact(z):
        return exactly(np.asarray(z, np.float64) * standardised + X_0.mean()) - data.log_det

    return {
        "tight": measure(program(**BEST), data, KEY, exact=exact, **options),
        "loose": measure(program(slope=0.5, scale=0.8), data, KEY, exact=exact, **options),
    }


def test_known_log_likelihoods_are_ordered_with_paired_errors():
    compared = compare_bounds(GIVEN, exact=TRUE)
    assert [one.name for one in compared.entries] == ["N(0, 1)", "N(0, 1.2)", "N(0, 2)"]
    assert compared.ranks == [(1, 1), (2, 2), (3, 3)]
    behind = compared.behind[1][0]
    expected = (GIVEN["N(0, 1)"] - GIVEN["N(0, 1.2)"]) / math.log(2)
    assert behind.mean == pytest.approx(expected.mean())
    assert behind.se == pytest.approx(dpm.estimate(expected).se)
    kl = (math.log(1.2) + 1 / (2 * 1.2**2) - 1 / 2) / math.log(2)
    assert abs(behind.mean - kl) < 4 * behind.se
    assert compared.behind[0][1].mean == pytest.approx(-behind.mean)
    assert compared.entries[0].gap.mean == pytest.approx(0, abs=1e-12)
    assert compared.exceeding == []


@pytest.mark.parametrize(("excess", "found"), [(0.2, ["too good"]), (0.0, []), (-0.2, [])])
def test_what_exceeds_the_exact_value_is_named(excess, found):
    noise = np.random.default_rng(2).normal(size=len(TRUE)) * 0.1
    compared = compare_bounds({"too good": TRUE + excess + noise, **GIVEN}, exact=TRUE)
    assert compared.exceeding == found
    said = " ".join(compared.verdicts())
    assert ("not to be believed: too good" in said) == bool(found)


def test_methods_that_cannot_be_told_apart_share_their_ranks():
    noise = np.random.default_rng(3).normal(size=(2, len(TRUE)))
    compared = compare_bounds({"a": TRUE + noise[0], "b": TRUE + noise[1], "c": TRUE - 5})
    assert compared.ranks == [(1, 2), (1, 2), (3, 3)]
    assert "not distinguishable" in compared.verdicts()[1]
    assert compared.tables()[0].rows[0][0] == "1 to 2"


def test_levels_are_compared_in_bits_per_dim_where_less_is_better():
    units = dpm.Dataset.from_levels(np.arange(8).reshape(4, 2), 8).units
    values = {"worse": np.array([-3.0, -2.0, -4.0]), "better": np.array([-2.0, -1.0, -2.5])}
    compared = compare_bounds(values, units=units)
    assert [one.name for one in compared.entries] == ["better", "worse"]
    for one in compared.entries:
        assert one.best.mean == pytest.approx(units.bits_per_dim(values[one.name].mean()))
    assert compared.behind[1][0].mean == pytest.approx(np.mean([1, 1, 1.5]) / math.log(2) / 2)
    assert compared.as_json()["better"] == "lower"


def test_measured_methods_are_ranked_by_their_likelihood(measured):
    compared = compare_bounds(measured)
    assert compared.exceeding == []
    loose = next(one for one in compared.entries if one.name == "loose")
    # K differs by KL(q || posterior), the likelihood by nothing.
    in_K = dpm.paired_difference(measured["tight"].scores.K_values, measured["loose"].scores.K_values)
    assert in_K.mean > 4 * in_K.se
    last = compared.behind[0][1]
    assert abs(last.mean) < 4 * last.se + 1e-3
    assert loose.gap.mean < loose.gap_of_K.mean
    frame = compared.to_dataframe()
    assert set(frame["method"]) == {"tight", "loose", "exact"}
    # The best guide is the posterior: its weights are equal, and its ELBO is the log-likelihood.
    assert set(frame[frame["method"] == "tight"]["figure"]) == {"log-likelihood"}
    assert set(frame[frame["method"] == "loose"]["figure"]) == {"ELBO", "importance-weighted", "cumulant, no bound"}
    ladder = frame[(frame["method"] == "loose") & (frame["figure"] == "importance-weighted")]
    assert list(ladder["num_particles"]) == [2**power for power in range(9)]
    assert (ladder["se"] > 0).all()


def test_the_difference_of_likelihoods_is_that_of_all_data(measured):
    """Both roads to the difference of two likelihoods agree: over the data with weights, and over all."""
    tight, loose = (measured[name] for name in ("tight", "loose"))
    both = tight.weights.log_likelihood - loose.weights.log_likelihood
    plain_difference = dpm.estimate(both) / math.log(2)
    compared = compare_bounds(measured)
    names = [one.name for one in compared.entries]
    ours = compared.behind[names.index("loose")][names.index("tight")]
    assert abs(ours.mean - plain_difference.mean) < 4 * np.hypot(ours.se, plain_difference.se)
    in_K = dpm.paired_difference(tight.scores.K_values, loose.scores.K_values)
    assert ours.se < 0.1 * in_K.mean / math.log(2), "the margin would let anything pass"


def test_a_program_of_ones_own_stands_beside_a_diffusion_in_one_call():
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 40)
    wide = norm.logpdf(x_0, scale=2).reshape(len(x_0), -1).sum(axis=1)
    results = {
        "bound": dpm.bound(diffusion, x_0, KEY),
        "weights": dpm.log_likelihood(diffusion, x_0, KEY, 64),
        "mine": wide,
    }
    compared = compare_bounds(results)
    assert {one.name for one in compared.entries} == set(results)
    by_name = {one.name: one for one in compared.entries}
    assert by_name["bound"].best.mean == pytest.approx(dpm.estimate(results["bound"].K).mean / math.log(2))
    assert by_name["weights"].best.mean == pytest.approx(results["weights"].mean().mean / math.log(2))
    assert by_name["mine"].best.mean == pytest.approx(wide.mean() / math.log(2))


def test_every_medium_holds_every_figure(measured):
    compared = compare_bounds({**measured, "density": measure(Program(density, event_shape=(1,)), DATA, KEY)})
    console = Console(width=200, record=True, file=io.StringIO())
    for table in compared.tables():
        console.print(table.rich())
    shown = {"terminal": console.export_text(), "markdown": compared.to_markdown(), "html": compared._repr_html_()}
    for text in (*shown.values(), compared.to_latex().replace(r"$\pm$", "±")):
        for one in compared.entries:
            assert one.best.plus_minus() in text
            assert one.name in text
    assert compared.to_latex().count(r"\toprule") == 3
    assert json.loads(json.dumps(compared.as_json(), allow_nan=False))["order"] == [c.name for c in compared.entries]


CASES = {
    "nothing": (dict, "at least one method"),
    "other data": (lambda: {"a": TRUE, "b": TRUE[1:]}, "the same data for all"),
    "another kind": (lambda: {"a": "text"}, r"results\['a'\]"),
    "a single value": (lambda: {"a": np.zeros(1)}, r"results\['a'\]"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case, unchecked):
    make, message = CASES[case]
    with pytest.raises(dpm.InputError, match=message):
        compare_bounds(make())


def test_exact_values_of_other_data():
    with pytest.raises(dpm.InputError, match="a value for each datum"):
        compare_bounds(GIVEN, exact=TRUE[1:])


def test_order_ranks_and_words_agree():
    """Two programs of nearly one likelihood, few data with weights: whichever is first is not known to be beaten."""
    data = dpm.Dataset.from_continuous(np.random.default_rng(5).normal(scale=np.hypot(1, 0.5), size=(1000, 1)))
    for seed in range(4):
        key = jax.random.key(seed)
        results = {
            "a": measure(program(slope=0.7, scale=0.4), data, key, num_particles=32, num_points=60),
            "b": measure(
                program(slope=0.6, scale=0.6), data, jax.random.fold_in(key, 1), num_particles=32, num_points=60
            ),
        }
        compared = compare_bounds(results)
        first, second = compared.entries
        assert first.best.mean >= second.best.mean
        assert compared.verdicts()[0].startswith(f"{first.name} has the best figure: ")
        ahead = compared.behind[1][0].mean < 0
        assert f"{second.name} is " in compared.verdicts()[1]
        assert ("ahead of it" if ahead else "behind it") in compared.verdicts()[1]


def test_the_order_is_that_of_the_values_where_ranks_overlap():
    """One is known to be behind the first and another, though its value is worse, is not."""
    noise = np.random.default_rng(4).normal(size=len(TRUE))
    noise *= 40 / noise.std()
    noise -= noise.mean()
    compared = compare_bounds({"noisy": TRUE - 1 + noise, "near": TRUE - 0.5, "first": TRUE})
    assert [one.name for one in compared.entries] == ["first", "near", "noisy"]
    assert compared.rank_words == ["1 to 2", "2 to 3", "1 to 3"]
    assert [row[0] for row in compared.tables()[0].rows] == compared.rank_words


SIDES = {
    "given": (lambda d, x: TRUE[:40], None, ""),
    "K": (lambda d, x: dpm.bound(d, x, KEY), None, "at least"),
    "few weights": (lambda d, x: dpm.log_likelihood(d, x, KEY, 8), None, "at least"),
    "K of levels": (lambda d, x: dpm.bound(d, x, KEY), 8, "at most"),
}


@pytest.mark.parametrize("case", SIDES)
def test_a_bound_that_may_lie_far_off_says_so_in_the_figure(case):
    make, levels, side = SIDES[case]
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 40)
    units = None if levels is None else dpm.Dataset.from_levels(np.arange(8).reshape(4, 2), levels).units
    compared = compare_bounds({"a": make(diffusion, x_0)}, units=units)
    figure = compared.entries[0].best
    shown = f"{side} {figure.plus_minus()}".strip()
    assert compared.verdicts()[0].startswith(f"a: {shown} bits/")
    assert shown in compared.tables()[0].rows[0]
    assert compared.figures()[-1 if case != "few weights" else -2].get("side", "") == side


def test_an_unknown_error_tells_nothing():
    compared = compare_bounds({"a": np.array([-1.0, -2.0]), "b": np.array([-1.0, -2.5])})
    assert compared.ranks == [(1, 2), (1, 2)]
    infinite = compare_bounds({"a": TRUE, "b": np.where(DRAWS > 2, -np.inf, TRUE)}, exact=TRUE)
    assert [one.name for one in infinite.entries] == ["a", "b"]
    assert infinite.ranks == [(1, 1), (2, 2)]
    assert infinite.exceeding == []


def test_densities_of_other_variables_are_not_compared():
    other = dpm.Dataset.from_continuous(10 * X_0)
    one, two = (measure(program(**BEST), data, KEY) for data in (dpm.Dataset.from_continuous(X_0), other))
    with pytest.raises(dpm.InputError, match="standardised alike"):
        compare_bounds({"x": one, "10x": two})


@pytest.mark.parametrize("num_points", [3, 5, 8, 100, 400])
def test_tied_methods_are_called_apart_by_chance_only(num_points, unchecked):
    """Two methods of one law measured again and again, with weights of few or all of their data."""
    rng, apart = np.random.default_rng(6), []
    for _ in range(500):
        common, noise = rng.normal(size=400), rng.normal(size=(4, 400)) * 0.3
        one, two = (contended(common + noise[i], 0.2 * noise[i + 2] ** 2, num_points) for i in (0, 1))
        difference = _difference(one, two)
        apart.append(known_better(difference) or known_better(-difference))
    assert np.mean(apart) < 0.0455 + 3 * np.sqrt(0.0455 * 0.9545 / 500)


def contended(K, gains, num_points):
    """What `_difference` asks of a method: K of all data, and better values of the first ones."""
    measured = SimpleNamespace(scores=SimpleNamespace(exact_values=None))
    values = (K + gains)[:num_points]
    return SimpleNamespace(control=K, places=np.arange(num_points), values=values, measured=measured)


def with_few_weights(seed, num_with_weights=20, num_all=2000, gain=0.1):
    """Many data measured, few with weights, and far from the exact value: (K, exact value, log-weights)."""
    rng = np.random.default_rng(seed)
    log_p = -rng.exponential(size=num_all)
    exact = log_p + 0.5 + rng.normal(size=num_all)
    log_weights = log_p[:num_with_weights, None] - gain + np.sqrt(2 * gain) * rng.normal(size=(num_with_weights, 64))
    return log_p - gain, exact, log_weights


@pytest.mark.parametrize("gain", [0.01, 0.5])
def test_the_best_bound_is_never_worse_than_K(gain):
    """Weights of few data raise the figure or leave it, however far the model is from the exact value."""
    units, chosen = dpm.Dataset.from_continuous(DRAWS[:, None]).units, []
    for seed in range(40):
        K, exact, log_weights = with_few_weights(seed, gain=gain)
        kept = RunningWeights(len(log_weights), seed)
        kept.add(log_weights)
        without = RunningWeights(len(K) - len(log_weights), seed)
        weights = LogLikelihood.of([kept, without], 1)
        scores = entry_of("", K, Scale(units, "point"), exact).measured.scores
        result = Measured(units, scores, weights, summarise(weights, units, scores))
        (one,) = compare_bounds({"one": result}).entries
        chosen.append(one.is_importance_weighted)
        assert one.best.mean >= one.K.mean
        assert one.is_importance_weighted or one.best == one.K
        assert abs(one.ladder[-1].mean.mean * math.log(2) + 1) < 5 * one.ladder[-1].mean.se * math.log(2)
    assert np.mean(chosen) == pytest.approx(1.0 if gain == 0.5 else 0.0, abs=0.1)


def test_data_that_two_methods_deem_impossible_tell_nothing(unchecked):
    """Where both are minus infinity neither is better; where one alone is, the mean difference is infinite."""
    values = np.where(DRAWS > 2, -np.inf, TRUE)
    one, two, other = (contended(K, 0.0, len(DRAWS)) for K in (values, values - 0.1, TRUE))
    difference = _difference(one, two)
    assert difference.mean == pytest.approx(0.1 * np.mean(DRAWS <= 2))
    assert _difference(other, one).mean == np.inf
