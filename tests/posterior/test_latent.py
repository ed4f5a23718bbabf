"""A diffusion as the prior of a latent beside others, in programs whose posterior is known."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO
from numpyro.infer.autoguide import AutoMultivariateNormal

import dpm_ppl as dpm
from dpm_ppl.posterior import latent
from tests.instances import small
from tests.posterior.test_conjugate import correlated, law_of_linear, null_model

KEY = jax.random.key(0)
COVARIATE = jnp.array([-1.0, 0.0, 1.0, 2.0])
Y = jnp.array([0.3, 0.9, 1.1, 2.2])


@pytest.mark.parametrize("scaled", [False, True])
def test_in_a_plate_it_has_the_law_of_the_chain(scaled):
    diffusion, num = correlated(8), 4000
    units = None
    if scaled:
        data = np.random.default_rng(0).normal(5.0, 3.0, (50, 2))
        units = dpm.Dataset.from_continuous(data, per_coordinate=True).units

    def model():
        with numpyro.plate("data", num):
            return latent("x", diffusion, units)

    trace = handlers.trace(handlers.seed(model, KEY)).get_trace()
    x = np.asarray(trace["x"]["value"], np.float64)
    assert trace["x_noise"]["value"].shape == (num, 9, 2)
    mean, covariance = law_of_linear(diffusion)
    scale, shift = (1.0, 0.0) if units is None else (units.scale, units.shift)
    x = (x - shift) / scale
    error = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) * 2 / num)
    assert (np.abs(x.mean(axis=0) - mean) < 4 * np.sqrt(np.diag(covariance) / num)).all()
    assert (np.abs(np.cov(x.T) - covariance) < 4 * error).all()


def regression():
    """x is the intercept, its prior a chain that has learned nothing; the slope is one more latent."""
    x = latent("x", null_model(4))
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(x[0] + slope * COVARIATE, 0.5).to_event(1), obs=Y)


@pytest.mark.slow
def test_svi_finds_the_regression_and_its_evidence():
    """All is normal: a normal guide can be the posterior, and the bound the evidence."""
    guide = AutoMultivariateNormal(regression)
    schedule = optax.cosine_decay_schedule(0.05, 1000, 0.01)
    svi = SVI(regression, guide, optax.adam(schedule), Trace_ELBO(num_particles=8))
    found = svi.run(KEY, 1000, progress_bar=False)
    design = np.stack([np.ones(4), np.asarray(COVARIATE)])
    precision = np.eye(2) + design @ design.T / 0.25
    mean, spread = np.linalg.solve(precision, design @ np.asarray(Y) / 0.25), np.linalg.inv(precision)
    exact = dist.MultivariateNormal(jnp.zeros(4), design.T @ design + 0.25 * np.eye(4)).log_prob(Y)
    last = dpm.estimate(-np.asarray(found.losses[-200:]))
    assert exact - 0.01 < last.mean < exact + 3 * last.se
    draws = Predictive(guide, params=found.params, num_samples=4000)(jax.random.key(1))
    x = Predictive(regression, posterior_samples=draws)(KEY)["x"][:, 0]
    for values, number in ((x, 0), (draws["slope"], 1)):
        assert abs(float(values.mean()) - mean[number]) < 4 * np.sqrt(spread[number, number] / 4000) + 0.02
        assert abs(float(values.std()) / np.sqrt(spread[number, number]) - 1) < 4 / np.sqrt(8000) + 0.02


def test_nuts_finds_an_unknown_noise_by_quadrature():
    def model():
        x = latent("x", null_model(4))
        sigma = numpyro.sample("sigma", dist.LogNormal(0.0, 0.5))
        numpyro.sample("y", dist.Normal(x[0], sigma).expand([4]).to_event(1), obs=Y)

    x, log_sigma = np.meshgrid(np.linspace(-4, 4, 401), np.linspace(-3, 3, 401), indexing="ij")
    sigma = np.exp(log_sigma)
    log_joint = -0.5 * x**2 - 0.5 * (log_sigma / 0.5) ** 2
    log_joint += sum(-0.5 * ((y - x) / sigma) ** 2 - log_sigma for y in np.asarray(Y, np.float64))
    weights = np.exp(log_joint - log_joint.max())
    weights /= weights.sum()
    mcmc = MCMC(NUTS(model), num_warmup=300, num_samples=1000, progress_bar=False)
    mcmc.run(KEY)
    samples = mcmc.get_samples()
    for name, values in (("x", x), ("sigma", sigma)):
        mean = (weights * values).sum()
        spread = np.sqrt((weights * (values - mean) ** 2).sum())
        chain = np.asarray(samples[name]).reshape(1, -1)
        effective = numpyro.diagnostics.effective_sample_size(chain)
        assert effective > 200
        assert abs(chain.mean() - mean) < 4 * spread / np.sqrt(effective)


def test_bits_are_refused():
    with pytest.raises(dpm.InputError, match="diffusion: expected one of real data"):
        handlers.seed(latent, KEY)("x", small(dpm.BernoulliKernel(), dpm.Erasure(4), (3,)))
