"""Log-weights against the densities that other roads give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from numpyro.infer import SVI, Trace_ELBO
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from dpm_ppl import Dataset, estimate
from dpm_ppl.methods.base import log_weights
from dpm_ppl.models.methods import METHODS, flow, hierarchical, mixture, vae
from dpm_ppl.models.methods.mixture import background_weight
from tests.models.methods.test_methods import DATA, draw, trained


@pytest.mark.parametrize("kind", ["continuous", "levels"])
def test_the_gaussian_has_the_moments_of_the_data(kind):
    data = DATA[kind]
    program = METHODS["gaussian"](data).method
    x_0 = draw(data, 300)
    if kind == "levels":
        x = data.source.reshape(300, -1)
        mean, covariance = x.mean(axis=0) + 0.5, np.cov(x.T, bias=True) + np.eye(6) / 12
        law = multivariate_normal(mean, covariance)
        expected = law.logpdf(data.units.unstandardise(x_0).reshape(300, -1)) - data.log_det
    else:
        z = np.asarray(data.values, np.float64).reshape(300, -1)
        expected = multivariate_normal(z.mean(axis=0), np.cov(z.T, bias=True)).logpdf(z)
    np.testing.assert_allclose(log_weights(program, x_0, jax.random.key(0)), expected, atol=0.05)


def test_independent_bits():
    data = DATA["binary"]
    program = METHODS["gaussian"](data).method
    rate = data.source.mean(axis=0)
    expected = np.where(data.source, np.log(rate), np.log(1 - rate)).sum(axis=(1, 2))
    found = log_weights(program, jnp.asarray(data.values), jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_mixture_of_gaussians_is_the_sum_of_its_components():
    data = DATA["continuous"]
    program = METHODS["mixture"](data).method
    z = np.asarray(data.values, np.float64).reshape(300, -1)
    labels = mixture.clusters(data.values, 2)
    parts = [z[labels == label] for label in range(labels.max() + 1)]
    assert len(parts) == 2
    terms = [
        np.log(len(part) / 300) + multivariate_normal(part.mean(axis=0), np.cov(part.T, bias=True)).logpdf(z)
        for part in parts
    ]
    found = log_weights(program, jnp.asarray(data.values), jax.random.key(0))
    np.testing.assert_allclose(found, logsumexp(terms, axis=0), atol=0.02)


def test_a_mixture_of_bits_finds_a_deterministic_law():
    phase = np.arange(500) % 5
    data = Dataset.from_binary((np.arange(20) % 5 == phase[:, None]).astype(int))
    program = trained(METHODS["mixture"](data), data, 300)
    figure = estimate(log_weights(program, jnp.asarray(data.values), jax.random.key(0)))
    assert -np.log(5) - 0.03 < figure.mean < -np.log(5) + 1e-4


def test_the_background_weight_follows_how_alike_the_data_of_a_cluster_are():
    rng = np.random.default_rng(0)
    background = np.full((30, 4), 0.25)

    def counts(concentration):
        law = rng.dirichlet(np.full(4, concentration), size=(10, 30))
        return rng.multinomial(20, law)

    weights = [background_weight(counts(concentration), background) for concentration in (0.05, 1.0, 10.0)]
    # The law of a cluster was drawn with that many data's worth of the background.
    np.testing.assert_allclose(weights, [0.25, 4.0, 32.0], rtol=0.6)


def test_the_density_of_a_flow_is_that_of_its_map():
    data = DATA["continuous"]
    program = flow.program(data, num_layers=2, num_knots=4, width=8)
    x_0 = jnp.asarray(data.values[:20])
    model = handlers.substitute(handlers.seed(program.model, 0), data=program.params)
    law = handlers.trace(model).get_trace(x_0)["x_0"]["fn"].base_dist
    to_base = law.transforms[-1].inv

    def log_density(x):
        volume = jnp.linalg.slogdet(jax.jacobian(to_base)(x).reshape(6, 6))[1]
        return jax.scipy.stats.norm.logpdf(to_base(x)).sum() + volume

    found = log_weights(program, x_0, jax.random.key(0))
    np.testing.assert_allclose(found, jax.jit(jax.vmap(log_density))(x_0), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("module", [vae, hierarchical])
def test_the_mean_weight_is_the_marginal_likelihood(module, monkeypatch):
    """Against draws from the model, on data of one coordinate, with a guide wider than the prior."""
    monkeypatch.setattr(module, "NARROW", 1.5)
    data = Dataset.from_continuous(np.random.default_rng(0).normal(size=(40, 1)))
    program = module.program(data, width=8, depth=1)
    svi = SVI(program.model, program.guide, METHODS["vae"](data).optimiser(100), loss=Trace_ELBO())
    program = program.with_params(svi.get_params(svi.init(jax.random.key(1), jnp.asarray(data.values))))
    point = jnp.array([0.2])
    keys = jax.random.split(jax.random.key(2), 40_000)
    log_weight = np.asarray(jax.jit(jax.vmap(lambda key: program.log_weight(point, key)))(keys), np.float64)
    by_guide = estimate(np.exp(log_weight))
    # The share of draws from the model near the point.
    drawn = np.asarray(program.sample(jax.random.key(3), 200_000))[:, 0]
    near = estimate((np.abs(drawn - 0.2) < 0.02).astype(float)) / 0.04
    assert abs(by_guide.mean - near.mean) < 4 * np.hypot(by_guide.se, near.se)
    assert 0 < by_guide.se < 0.1 * by_guide.mean
    assert estimate(log_weight).mean < np.log(near.mean)
