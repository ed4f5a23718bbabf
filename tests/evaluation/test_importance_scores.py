"""Importance-weighted figures in the units of the scores."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.stats import norm

from dpm_ppl.app.console.tables import print_importance_scores, print_sandwich
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.estimates.standard_errors import Estimate
from dpm_ppl.evaluation.importance_scores import importance_weights, sandwich_json, summarise
from dpm_ppl.evaluation.measured import Measured
from dpm_ppl.evaluation.scores import score
from dpm_ppl.kernels import GaussianKernel
from dpm_ppl.likelihood import sandwich
from dpm_ppl.likelihood.proposals import PROPOSALS
from dpm_ppl.schedules import Erasure
from tests import reference
from tests.instances import small
from tests.oracles import AtRest, LinearNetwork, as_given

KEY = jax.random.key(0)
REAL = np.random.default_rng(0).normal(size=(400, 1))


def gaussian_case():
    """Standardised data, a chain whose p(x_0) is not quite theirs, and its exact log-density."""
    reverse = reference.optimal_reverse(reference.erasure(10), 0.25)
    network = LinearNetwork(np.asarray(reverse.slope), np.log(reverse.variance))
    diffusion = Diffusion(GaussianKernel(as_given), Erasure(10), network, (1,))
    return diffusion, Dataset.from_continuous(REAL), lambda z: norm.logpdf(z[:, 0], scale=np.sqrt(0.3925))


def with_weights(num_particles=256, num_points=50, proposal="trajectories"):
    diffusion, data, exact = gaussian_case()
    scores = score(diffusion, data, KEY, num_draws=8, exact=exact)
    options = {"num_particles": num_particles, "num_points": num_points, "proposal": proposal}
    weights = importance_weights(diffusion, data, KEY, **options)
    return Measured(data.units, scores, weights, summarise(weights, data.units, scores))


@pytest.mark.parametrize("proposal", sorted(PROPOSALS.keys() - {"guide"}))
@pytest.mark.parametrize("num_points", [50, 400])
def test_the_exact_value_is_reached_and_not_passed(proposal, num_points):
    measured = with_weights(256, num_points, proposal)
    scores, result = measured.scores, measured.importance
    last = result.ladder[-1]
    assert last.num_particles == 256
    assert abs(last.gap.mean) < 4 * last.gap.se + 0.02
    assert last.gap.mean < scores.gap.mean - 4 * scores.gap.se
    assert last.mean.mean == pytest.approx(scores.exact.mean - last.gap.mean, abs=1e-9)
    assert last.mean.se < 1.1 * scores.exact.se
    if proposal == "trajectories":
        first = result.ladder[0]
        assert abs(first.gap.mean - scores.gap.mean) < 4 * np.hypot(first.gap.se, scores.gap.se)


def test_every_proposal_gives_the_same_figure_with_the_same_control():
    """The mean of all data, from few of them and K: unlike as particles are, figures and errors agree."""
    diffusion, data, exact = gaussian_case()
    scores = score(diffusion, data, KEY)
    truth = exact(np.asarray(data.values)).mean() / np.log(2)
    means = []
    for proposal in sorted(PROPOSALS.keys() - {"guide"}):
        weights = importance_weights(diffusion, data, KEY, num_particles=128, num_points=20, proposal=proposal)
        means.append(summarise(weights, data.units, scores).ladder[-1].mean)
    errors = np.array([mean.se for mean in means])
    assert errors.max() < 1.25 * errors.min()
    assert np.ptp([mean.mean for mean in means]) < errors.min()
    assert all(abs(mean.mean - truth) < 4 * mean.se for mean in means)


def test_levels_have_their_noise_integrated_out():
    """The probabilities of the levels under N(0, 1), which one draw of noise each would underestimate."""
    diffusion = Diffusion(GaussianKernel(), Erasure(4), AtRest(2), (1,))
    data = Dataset.from_levels(np.tile(np.arange(4)[:, None], (25, 1)), 4)
    scores = score(diffusion, data, KEY, num_draws=200)
    options = {"num_particles": 500, "num_points": 100}
    result = summarise(importance_weights(diffusion, data, KEY, **options), data.units, scores)
    edges = data.units.standardise(np.arange(5)[:, None])[:, 0]
    bits = -np.log2(np.diff(norm.cdf(edges))).mean()
    assert result.bits_per_dim.mean == pytest.approx(bits, abs=0.01)
    assert scores.bits_per_dim.mean > bits + 0.02


def test_json_and_tables(capsys):
    measured = with_weights(100, 30)
    scores, result = measured.scores, measured.importance
    shown = json.loads(json.dumps(scores.as_json() | result.as_json(), allow_nan=False))
    rows = shown["importance_weighted"]
    assert [row["num_particles"] for row in rows] == [1, 2, 4, 8, 16, 32, 64, 100]
    assert all(row.keys() >= {"mean", "se", "num_draws", "gap", "rise"} for row in rows)
    assert shown["importance_weighted_points"] == 30
    assert 1 <= shown["ess_median"] <= 100
    assert sum(shown["verdicts"].values()) == pytest.approx(1)
    assert not any(name.endswith("_values") for name in shown)
    diffusion, data, _ = gaussian_case()
    bounds = sandwich(diffusion, KEY, 20, 16)
    certificate = sandwich_json(bounds, data.units)
    assert certificate["certifies"] == "data simulated from the model"
    assert certificate["lower"]["mean"] < certificate["upper"]["mean"] + 4 * certificate["gap"]["se"]
    print_importance_scores(measured)
    print_sandwich(bounds, data.units, "bits/point")
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in (
        "ESS",
        "of 100 draws",
        "k-hat",
        "reliable",
        "certifies the estimator on data simulated from the model",
        "gap to exact",
    ):
        assert part in text


def told(measured, capsys):
    print_importance_scores(measured)
    return " ".join(capsys.readouterr().out.split())


def test_a_figure_says_which_data_it_is_of_and_whether_it_is_a_bound(capsys):
    for num_points in (30, 400):
        measured = with_weights(100, num_points)
        text = told(measured, capsys)
        assert ("means over all 400 held-out data; 30 of them have weights" in text) == (num_points == 30)
        assert f"of the {num_points} data with weights: " in text
        assert ("at least" in text) == (measured.importance.doubtful_share > 0)
    doubtful = replace(
        measured.importance,
        verdicts={"reliable": 0.5, "some new verdict": 0.5},
        bits_per_dim=Estimate(2.0, 0.01, 30),
    )
    text = told(replace(measured, importance=doubtful), capsys)
    assert "log-likelihood: at least" in text
    assert "code length: at most 2.000 ± 0.010 bits/dim" in text
    assert "50% reliable, 50% some new verdict" in text


def test_one_draw_has_no_known_error(capsys):
    text = told(with_weights(64, 30, "smc"), capsys)
    assert "at least" in text
    assert "one draw of 64 particles a datum: no error known" in text
    assert "nan" not in text
    assert "cumulant" not in text


def test_without_an_exact_value(capsys):
    diffusion = small(GaussianKernel(), Erasure(6, beta_1=0.05), (1,))
    data = Dataset.from_continuous(REAL)
    weights = importance_weights(diffusion, data, KEY, num_particles=8, num_points=10)
    scores = score(diffusion, data, KEY)
    result = summarise(weights, data.units, scores)
    assert result.ladder[-1].gap is None
    print_importance_scores(Measured(data.units, scores, weights, result))
    assert "gap to exact" not in capsys.readouterr().out
