"""A `Posterior` in trees and comparisons, beside draws of any other origin."""

import math

import arviz as az
import jax
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.posteriors import compare_posteriors, conditioned_tree, posterior_tree, sliced_wasserstein
from dpm_ppl.analysis.tree import load, save
from dpm_ppl.estimates import Estimate
from dpm_ppl.posterior import Posterior

RNG = np.random.default_rng(0)
NUM = 2000


def weighted(mean=1.0, method="smc", verdict="reliable", notices=()):
    """Draws of N(0, 1) with the weights that make them N(mean, 1)."""
    draws = RNG.normal(size=(NUM, 2))
    log_weights = mean * draws.sum(axis=1)
    log_weights = log_weights - np.logaddexp.reduce(log_weights)
    pointwise = -0.01 * (np.array([mean, np.nan]) - draws) ** 2
    statistics = {"smallest_ess": 9.0, "ess_along_chain": np.ones((1, 5)), "twist": "ByVariance"}
    evidence = Estimate(-1.5, 0.1, NUM)
    observed = np.array([mean, np.nan])
    return Posterior(method, draws, log_weights, observed, evidence, verdict, statistics, notices, pointwise)


def equal(draws, method="gibbs"):
    log_weights = np.full(len(draws), -math.log(len(draws)))
    return Posterior(method, draws, log_weights, np.zeros(2), None, "reliable")


def test_draws_of_equal_weight_are_those_of_the_weighted():
    posterior = weighted(0.5)
    tree = conditioned_tree(posterior, key=jax.random.key(1), num_draws=500, attrs={"run": "r"})
    drawn = tree["posterior"]["x_0"]
    assert drawn.dims == ("chain", "draw", "x_0_dim_0")
    assert drawn.shape == (1, 500, 2)
    np.testing.assert_allclose(drawn.mean(("chain", "draw")), posterior.mean(), atol=0.2)
    np.testing.assert_array_equal(tree["observed_data"]["y"], posterior.observed)
    statistics = tree["sample_stats"]
    assert float(statistics["ess"]) == pytest.approx(posterior.ess)
    assert float(statistics["log_evidence"]) == -1.5
    assert statistics["log_weights"].shape == (NUM,)
    assert statistics.attrs["twist"] == "ByVariance"
    assert (tree.attrs["method"], tree.attrs["verdict"], tree.attrs["run"]) == ("smc", "reliable", "r")


def test_several_observations_have_an_axis_of_their_own_in_a_file_too(tmp_path):
    several = [weighted(0.0), weighted(1.0, verdict="doubtful", notices=("more particles",))]
    tree = conditioned_tree(several)
    save(tree, tmp_path / "posterior.nc")
    read = load(tmp_path / "posterior.nc")
    assert read["posterior"]["x_0"].sizes == {"chain": 1, "draw": NUM, "observation": 2, "x_0_dim_0": 2}
    assert read["sample_stats"]["verdict"].values.tolist() == ["reliable", "doubtful"]
    assert read["sample_stats"]["ess_along_chain"].sizes["observation"] == 2
    assert (read.attrs["verdict"], read.attrs["notices"]) == ("doubtful", "more particles")
    with pytest.raises(InputError, match="at least one"):
        conditioned_tree([])


def test_log_likelihoods_are_those_of_the_draws_and_arviz_finds_them():
    single = conditioned_tree(weighted(0.5), num_draws=500)
    assert single["log_likelihood"]["y"].dims == ("chain", "draw", "measured")
    ours, drawn = single["log_likelihood"]["y"].values[..., 0], single["posterior"]["x_0"].values[..., 0]
    np.testing.assert_allclose(ours, -0.01 * (0.5 - drawn) ** 2)
    several = conditioned_tree([weighted(0.0), weighted(1.0)])
    assert several["log_likelihood"]["y"].sizes == {"chain": 1, "draw": NUM, "observation": 2, "measured": 1}
    assert az.loo(several).n_data_points == 2
    assert "log_likelihood" not in conditioned_tree(equal(RNG.normal(size=(50, 2)))).children


def test_equal_weights_keep_the_order_of_a_chain():
    draws = np.cumsum(RNG.normal(size=(50, 2)), axis=0)
    np.testing.assert_array_equal(posterior_tree(equal(draws))["posterior"]["x_0"].values[0], draws)
    assert np.isnan(conditioned_tree(equal(draws))["sample_stats"]["log_evidence"])


def test_a_posterior_is_compared_with_exact_draws_in_one_call():
    exact = {"x_0": RNG.normal(0.5, 1.0, size=(1000, 2))}
    given = {"smc": weighted(0.5), "wrong": equal(RNG.normal(1.0, 1.0, size=(NUM, 2)), "paper")}
    compared = compare_posteriors(given, reference=exact, distances=[sliced_wasserstein])
    rows = {row.name: row for row in compared.rows}
    assert rows["smc"].num_draws == round(0.2 * given["smc"].ess)
    assert rows["smc"].num_compared == rows["smc"].num_draws
    assert rows["smc"].verdict.startswith("not told from the reference")
    assert rows["smc"].verdict.endswith("reliable by its own account")
    assert rows["wrong"].verdict.startswith("differs from the reference")
    reversed_roles = compare_posteriors({"exact": exact}, reference=weighted(0.5), distances=[sliced_wasserstein])
    assert reversed_roles.reference == "reference"
