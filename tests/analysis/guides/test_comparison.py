"""Guides side by side: the table says what the evidence of each guide says, and what fails does not stop the others."""

import json
from dataclasses import replace

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.autoguide import AutoDAIS, AutoDelta, AutoMultivariateNormal, AutoNormal

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.guides import GuideComparison, GuideEntry, compare_guides
from dpm_ppl.analysis.posteriors import compare_posteriors, sliced_wasserstein
from dpm_ppl.estimates import Estimate
from dpm_ppl.guides import FitSettings

SETTINGS = FitSettings(
    num_updates=200,
    num_base_updates=50,
    learning_rate=0.05,
    num_particles=4,
    num_evaluations=2,
    num_evaluation_draws=64,
    num_draws=64,
    progress=False,
)
COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.0]], np.float32)
KEY = jax.random.key(0)


def model():
    """A normal law of two dimensions: its log evidence is 0."""
    numpyro.sample("z", dist.MultivariateNormal(np.zeros(2, np.float32), COVARIANCE))


def exact(num):
    return {"z": np.random.default_rng(0).multivariate_normal(np.zeros(2), COVARIANCE, num).astype(np.float32)}


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def compared(seen) -> GuideComparison:
    guides = {"by itself": AutoNormal(model), "delta": AutoDelta(model), "joint": AutoMultivariateNormal(model)}
    options = {"settings": SETTINGS, "num_particles": 2000, "num_compared": 300, "on_entry": seen.append}
    return compare_guides(model, guides, key=KEY, reference=exact(500), log_evidence=0.0, **options)


def test_the_guide_that_can_be_the_posterior_comes_first_and_what_failed_last(compared, seen):
    assert [one.name for one in compared.entries] == ["joint", "by itself", "delta"]
    assert [one.name for one in seen] == ["by itself", "delta", "joint"]  # as they were given
    assert compared.ranks == [(1, 1), (2, 2), (3, 3)]
    failed = compared.entries[-1]
    assert failed.found is None
    assert "density" in failed.failure


def test_figures_are_those_of_the_evidence_and_no_bound_exceeds_the_truth(compared):
    # The best product of normal laws has a KL divergence of -0.5 log(1 - 0.8^2) nats from the posterior.
    for one, gap in zip(compared.entries[:2], (0.0, -0.5 * np.log(1 - 0.8**2)), strict=True):
        assert one.gap.mean == pytest.approx(-one.found.elbo.mean)
        assert abs(one.gap.mean - gap) < 4 * one.gap.se + 0.02  # of a fit that has not wholly ended
        assert one.found.forward.eubo.mean > -4 * one.found.forward.eubo.se
        assert one.seconds > 0
    joint, alone, _ = compared.entries
    assert joint.distance.p_value > 1e-3
    assert alone.distance.value.mean > joint.distance.value.mean


def test_all_media_say_the_same(compared):
    text, frame, page = str(compared), compared.to_dataframe(), json.loads(json.dumps(compared.as_json()))
    assert list(frame.index) == list(page["guides"]) == ["joint", "by itself", "delta"]
    assert frame.loc["joint", "elbo"] == page["guides"]["joint"]["elbo"]["mean"]
    assert compared.entries[0].found.elbo.plus_minus() in text
    assert "delta: not fitted" in text
    assert set(compared.trees(num_draws=10)) == {"joint", "by itself"}


def test_what_fit_guide_returns_is_compared_as_any_draws_are(compared):
    fits = {one.name: one.fit for one in compared.entries[:2]}
    options = {"reference": exact(500), "num_draws": 500, "distances": (sliced_wasserstein,)}
    rows = {row.name: row for row in compare_posteriors(fits, key=KEY, **options).rows}
    own = {one.name: one.found.khat for one in compared.entries[:2]}
    assert rows["joint"].distances["sliced W2"].p_value > 1e-3
    assert rows["by itself"].weights.khat == pytest.approx(own["by itself"], abs=0.3)


def test_a_bound_above_the_truth_is_not_believed(compared):
    entry = compared.entries[0]
    wrong = GuideEntry("wrong", entry.fit, entry.found, gap=Estimate(-1.0, 0.1, 100))
    (line,) = GuideComparison((wrong,), Estimate(-1.0, 0.0, 1), "").verdicts()
    assert "not to be believed" in line


def test_weights_that_say_too_little_of_a_known_evidence_are_not_believed(compared):
    entry = compared.entries[0]
    assert abs(entry.shortfall.mean + entry.found.log_evidence.mean) < 1e-6
    low = GuideEntry("low", entry.fit, entry.found, shortfall=Estimate(1.2, 0.1, 100))
    right = GuideEntry("right", entry.fit, entry.found, shortfall=Estimate(0.2, 0.1, 100))
    told = GuideComparison((low, right), Estimate(1.2, 0.0, 1), "").verdicts()
    assert told[0].startswith("low: it misses a part of the posterior: its log evidence is 1.20 ± 0.10 nats too low")
    assert told[1].startswith(f"right: {entry.found.verdict}")


def test_a_guide_without_a_density_at_given_draws_says_so():
    guides = {"dais": AutoDAIS(model, K=2)}
    compared = compare_guides(model, guides, key=KEY, reference=exact(100), settings=replace(SETTINGS, num_updates=20))
    (entry,) = compared.entries
    assert entry.found.forward is None
    assert "lost modes go unseen" in compared.verdicts()[0]


def test_the_page(compared, tmp_path):
    compared.write_page(tmp_path / "guides.html")
    assert "by itself" in (tmp_path / "guides.html").read_text()


@pytest.mark.parametrize(
    ("guides", "options", "says"),
    [
        ({}, {}, "guides: expected at least one guide"),
        ({"one": model}, {}, "guides: expected NumPyro's automatic guides, by name, got function at 'one'"),
        ({"one": AutoNormal(model)}, {"reference": "gibbs"}, "reference: expected 'nuts'"),
    ],
)
def test_what_cannot_be_compared_is_refused(guides, options, says, unchecked):
    with pytest.raises(InputError, match=says):
        compare_guides(model, guides, key=KEY, **options)
