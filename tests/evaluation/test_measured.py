"""Which bound of a method is the best, and whether it has reached the log-likelihood: one rule, told everywhere."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dpm_ppl.analysis.comparison import compare_bounds
from dpm_ppl.app.console.tables import print_importance_scores
from dpm_ppl.data.units import Units
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.evaluation.importance_scores import ImportanceScores, LadderRow
from dpm_ppl.evaluation.measured import Measured
from dpm_ppl.evaluation.scores import Scores
from dpm_ppl.likelihood import LogLikelihood
from dpm_ppl.likelihood.running import RunningWeights

UNITS = Units((1,), "continuous", np.zeros(1), np.ones(1))
K_VALUES = np.random.default_rng(0).normal(-1.0, 0.3, size=400)


def measured(gain=0.5, *, error=0.1, reliable=1.0, num_points=400, exact=False, failed=None):
    """K of 400 data, of which one may have `failed`, and weights of some that raise it by `gain`, bits."""
    K_values = K_VALUES if failed is None else np.where(np.arange(400) == 0, failed, K_VALUES)
    K = estimate(K_values)
    scores = Scores(unit="bits/point", num_points=400, num_draws=4, K=K, K_original=K, K_values=K_values)
    known = math.isfinite(gain)
    mean = replace(estimate(K_VALUES) + gain if known else K, num=num_points)
    importance = ImportanceScores(
        unit="bits/point",
        num_heldout=400,
        num_points=num_points,
        ladder=[LadderRow(64, 64, mean, None, None)],
        gain=Estimate(gain, error, num_points),
        cumulant=mean,
        bits_per_dim=None,
        ess_median=10.0,
        khat={"median": 0.2, "largest": 0.4},
        verdicts={"reliable": reliable, "heavy tail": 1 - reliable},
        interrupted=False,
    )
    running = RunningWeights(num_points, seed=0)
    running.add(K_VALUES[:num_points, None] * np.ones(2))
    weights = replace(LogLikelihood.of([running], 1), is_exact=np.full(num_points, exact))
    return Measured(UNITS, scores, weights, importance)


BEST = {  # what was measured; whether the weights give the best bound, and whether it has reached the log-likelihood
    "no weights": (replace(measured(), weights=None, importance=None), False, False),
    "reliable": (measured(), True, True),
    "one datum flagged": (measured(reliable=0.99), True, False),
    "all flagged": (measured(reliable=0.0), True, False),
    "all flagged, within the error": (measured(0.05, reliable=0.0), False, False),
    "few data": (measured(0.5, error=0.6, num_points=5), False, False),
    "one datum, no error known": (measured(0.5, error=math.nan, num_points=1), False, False),
    "K above the weights within the error": (measured(-0.05), False, False),
    "K far above the weights": (measured(-0.5), False, False),
    "within what float32 leaves": (measured(1e-6, error=0.0), False, False),
    "exact": (measured(0.0, error=0.0, exact=True), False, True),
    "exact, whatever the weights of few data say": (measured(0.5, num_points=5, exact=True), False, True),
    "weights failed": (measured(math.nan, error=math.nan), False, False),
    "K impossible": (measured(failed=-np.inf), True, True),
    "K failed, weights of all data": (measured(failed=np.nan), True, True),
    "K failed, weights of few data": (measured(failed=np.nan, num_points=5), False, False),
}


@pytest.mark.parametrize("case", BEST)
def test_the_best_bound_and_whether_it_is_reached(case):
    one, weighted, reached = BEST[case]
    assert one.is_importance_weighted == weighted
    assert one.is_reached == reached
    assert one.best is (one.importance.ladder[-1].mean if weighted else one.scores.K)


@pytest.mark.parametrize("case", BEST)
def test_bounds_and_compare_say_the_same(case, capsys):
    one, weighted, reached = BEST[case]
    (entry,) = compare_bounds({"one": one}).entries
    assert (entry.best, entry.is_importance_weighted) == (one.best, weighted)
    shown = entry.best.plus_minus(side=entry.side)
    assert ("at least" in shown) == (not reached and not math.isnan(one.best.mean))
    print_importance_scores(one)
    text = capsys.readouterr().out
    assert (f"log-likelihood: {shown} bits/point" in text) == (one.importance is not None)
    assert ("which is K" in text) == (bool(text) and not weighted and not one.is_exact and "no figure" not in shown)
