"""What the weights say about themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from arviz_stats.base.array import array_stats
from numpyro.handlers import seed, substitute, trace
from numpyro.infer import psis_diagnostic
from scipy.stats import genpareto

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.chains import forward_chain, reverse_chain
from dpm_ppl.likelihood import (
    LogLikelihood,
    effective_sample_size,
    log_likelihood,
    pareto_khat,
    verdicts,
    weight_histogram,
)
from dpm_ppl.likelihood.running import RunningWeights
from tests.instances import DIFFUSIONS, draw_data

KEY = jax.random.key(0)


@pytest.mark.parametrize("shape", [-0.2, 0.1, 0.3, 0.5, 0.7, 1.0])
def test_khat_finds_a_known_tail(shape):
    """Over many sets of weights, as a single fit is uncertain by about (1 + k) / sqrt(tail)."""
    weights = 1 + genpareto.rvs(shape, size=(60, 20_000), random_state=0)
    fits = pareto_khat(np.log(weights))
    prior = 10 / (424 + 10) * (0.5 - shape)  # the fit's own, of the weight of ten draws at 0.5
    assert fits.mean() == pytest.approx(shape + prior, abs=0.05)


@pytest.mark.parametrize("num_draws", [30, 100, 225, 226, 1000, 30_000])
def test_khat_is_that_of_arviz(num_draws):
    log_weights = np.random.default_rng(num_draws).normal(size=num_draws)
    expected = array_stats.psislw(-log_weights)[1]  # psislw takes the weights' negative logarithms
    assert pareto_khat(log_weights) == pytest.approx(expected, abs=1e-9)


def importance_weights(key, model, guide, num_particles, *args):
    """Log-weights of the joint, drawn from the keys that `psis_diagnostic` uses."""

    def one(key):
        model_key, guide_key = jax.random.split(key)
        drawn = trace(seed(guide, guide_key)).get_trace(*args)
        values = {name: site["value"] for name, site in drawn.items() if site["type"] == "sample"}
        given = trace(seed(substitute(model, data=values), model_key)).get_trace(*args)

        def log_prob(sites):
            return sum(site["fn"].log_prob(site["value"]).sum() for site in sites.values() if site["type"] == "sample")

        return log_prob(given) - log_prob(drawn)

    return jax.jit(jax.vmap(one))(jax.random.split(key, num_particles))


@pytest.mark.parametrize("name", ["gaussian", "bernoulli"])
def test_khat_is_that_of_numpyro_on_the_chains(name):
    diffusion = DIFFUSIONS[name]()
    x_0 = draw_data(diffusion, 2)
    programs = [lambda x_0, chain=chain: chain(diffusion, x_0) for chain in (reverse_chain, forward_chain)]
    expected = psis_diagnostic(KEY, {}, *programs, x_0, num_particles=2000)
    got = pareto_khat(importance_weights(KEY, *programs, 2000, x_0))
    assert got == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("scale", "verdict"), [(1.2, "reliable"), (0.3, "unusable")])
def test_a_guide_that_is_too_narrow_is_flagged(scale, verdict):
    """Under a guide N(0, s) of N(0, 1) the weights' tail index is 1 - s^2 for s < 1; for s > 1 they are bounded."""

    def model():
        numpyro.sample("z", dist.Normal(0.0, jnp.ones(5)).to_event(1))

    def guide():
        numpyro.sample("z", dist.Normal(0.0, scale * jnp.ones(5)).to_event(1))

    log_weights = importance_weights(KEY, model, guide, 10_000)
    khat = pareto_khat(log_weights)
    assert khat == pytest.approx(psis_diagnostic(KEY, {}, model, guide, num_particles=10_000), abs=0.05)
    running = RunningWeights(1, seed=0)
    running.add(np.asarray(log_weights)[None])
    assert LogLikelihood.of([running], 1).verdict == verdict


@pytest.mark.parametrize(
    ("bulk", "shape", "num_draws", "ess", "hidden", "verdict"),
    [
        (0.3, 0.9, 1000, 500, 0.0, "reliable"),
        (0.5, 0.9, 256, 100, 0.0, "doubtful"),  # 256 draws bear an index of 0.45,
        (0.5, 0.9, 1000, 500, 0.0, "reliable"),  # and a thousand one of 0.57
        (0.74, 0.9, 10_000_000, 1000, 0.0, "reliable"),
        (0.8, 0.9, 10_000_000, 1000, 0.0, "doubtful"),
        (2.0, 0.2, 256, 100, 0.0, "reliable"),  # a light tail beyond doubt, however uneven the bulk
        (2.0, 0.9, 256, 100, 0.0, "unusable"),
        (0.0, np.inf, 256, 255, 0.0, "reliable"),  # equal weights have ties and no tail
        (0.3, 0.2, 255, 200, 0.0, "too few draws"),
        (0.3, 0.9, 1000, 9, 0.0, "doubtful"),
        (0.0, np.inf, 1000, 999, 0.2, "doubtful"),
        (0.0, np.inf, 1000, 999, np.nan, "doubtful"),
        (np.nan, np.inf, 1000, 500, 0.0, "unusable"),
    ],
)
def test_verdicts(bulk, shape, num_draws, ess, hidden, verdict):
    assert verdicts(np.array([0.1]), float(ess), bulk, shape, num_draws, hidden) == [verdict]


@pytest.mark.parametrize(("num_draws", "verdict"), [(1, "too few draws"), (2, "unusable"), (1000, "unusable")])
def test_an_estimate_without_an_error_is_not_usable(num_draws, verdict):
    assert verdicts(np.array([np.nan]), 1.0, 0.0, 0.0, num_draws) == [verdict]


def test_khat_of_weights_without_a_tail():
    assert pareto_khat(np.zeros(1000)) == -np.inf
    assert np.isnan(pareto_khat(np.arange(29.0)))
    assert np.isnan(pareto_khat(np.full(100, np.nan)))


def test_effective_sample_size_of_weights_that_do_and_do_not_vary():
    assert effective_sample_size(np.full((2, 50), -700.0)) == pytest.approx(50)
    assert effective_sample_size(np.array([0.0, -np.inf, -np.inf])) == 1


def test_histogram_of_weights():
    log_weights = np.random.default_rng(0).normal([[-400.0], [300.0]], 1.0, (2, 1000))
    counts, edges = weight_histogram(log_weights, 30)
    assert counts.shape == (2, 30)
    np.testing.assert_array_equal(counts.sum(axis=1), 1000)
    centre = counts @ (edges[1:] + edges[:-1]) / 2 / 1000
    np.testing.assert_allclose(centre, -0.5, atol=0.2)  # log w less its log-mean is N(-1/2, 1)
    with pytest.raises(InputError, match="log_weights"):
        weight_histogram(np.zeros(3))


def test_the_diagnostics_of_a_chain_say_what_its_weights_say():
    diffusion = DIFFUSIONS["gaussian"]()
    result = log_likelihood(diffusion, draw_data(diffusion, 3), KEY, 500, keep_log_weights=True)
    np.testing.assert_allclose(result.khat, pareto_khat(result.log_weights))
    np.testing.assert_allclose(result.ess, effective_sample_size(result.log_weights))
