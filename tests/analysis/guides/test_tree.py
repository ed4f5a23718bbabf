"""A guide's draws as ArviZ's posteriors."""

import arviz as az
import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.guides import evidence_tree
from dpm_ppl.analysis.tree import load, save
from dpm_ppl.guides import evidence

EFFECTS, ERRORS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0]), np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0])


def model(effects, errors):
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    with numpyro.plate("school", len(effects)):
        eta = numpyro.sample("eta", dist.Normal())
        theta = numpyro.deterministic("theta", mu + 5.0 * eta)
        numpyro.sample("effect", dist.Normal(theta, errors), obs=effects)


def guide(effects, errors):
    numpyro.sample("mu", dist.Normal(4.0, 4.0))
    with numpyro.plate("school", len(effects)):
        numpyro.sample("eta", dist.Normal(0.1, 1.0))


@pytest.fixture(scope="module")
def found():
    return evidence(model, guide, {}, EFFECTS, ERRORS, key=jax.random.key(0), num_particles=2000)


@pytest.fixture(scope="module")
def tree(found):
    return evidence_tree(found, num_draws=250)


def test_groups_hold_the_log_densities_of_the_draws(found, tree):
    posterior = tree["posterior"]
    assert posterior["eta"].shape == (4, 250, 6)
    np.testing.assert_allclose(posterior["theta"], posterior["mu"].values[..., None] + 5 * posterior["eta"], rtol=1e-5)
    likelihood = norm.logpdf(EFFECTS, posterior["theta"], ERRORS)
    np.testing.assert_allclose(tree["log_likelihood"]["effect"], likelihood, rtol=1e-5)
    np.testing.assert_allclose(tree["log_prior"]["eta"], norm.logpdf(posterior["eta"]), rtol=1e-4)
    np.testing.assert_array_equal(tree["observed_data"]["effect"], EFFECTS)
    log_p = tree["log_prior"]["mu"] + tree["log_prior"]["eta"].values.sum(axis=-1) + likelihood.sum(axis=-1)
    stats = tree["sample_stats"]
    np.testing.assert_allclose(stats["log_weight"], log_p - stats["log_q"], atol=1e-4)
    assert stats.attrs["khat"] == found.khat
    assert stats.attrs["elbo"] == found.elbo.mean
    assert tree.attrs["verdict"] == found.verdict == "reliable"


def test_draws_are_those_of_the_posterior(tree):
    """Normal, given that scales are known."""
    precision = 1 / 25 + (1 / (25 + ERRORS**2)).sum()
    mean = (EFFECTS / (25 + ERRORS**2)).sum() / precision
    mu = tree["posterior"]["mu"].values.ravel()
    assert abs(mu.mean() - mean) < 4 * precision**-0.5 / np.sqrt(500)


def test_arviz_takes_it(tree):
    assert np.isfinite(az.loo(tree).elpd)
    assert list(az.compare({"one": tree, "other": tree}).index) == ["one", "other"]
    assert np.isfinite(az.summary(tree, var_names=["mu", "theta"])["mean"].astype(float)).all()
    for plot in (az.plot_forest, az.plot_dist):
        plot(tree, var_names=["mu", "theta"], backend="none")
    az.plot_pair(tree, var_names=["mu", "theta"], coords={"theta_dim_0": [0, 1]}, backend="none")


def test_files_give_it_back(tree, tmp_path):
    save(tree, tmp_path / "tree.zarr")
    kept = load(tmp_path / "tree.zarr")
    np.testing.assert_array_equal(kept["sample_stats"]["log_q"], tree["sample_stats"]["log_q"])


def test_anything_else_is_refused(unchecked):
    with pytest.raises(InputError, match="an Evidence"):
        evidence_tree({"mu": np.zeros(3)})
