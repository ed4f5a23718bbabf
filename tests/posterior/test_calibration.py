"""Simulation-based calibration: x_0 from the chain, an observation of it, and the rank of x_0 among the draws."""

import jax
import jax.numpy as jnp
import pytest

from dpm_ppl.analysis.posteriors import calibrate
from dpm_ppl.diffusion.sampling import descend, last_step
from dpm_ppl.posterior.observations import NormalCoordinates
from dpm_ppl.posterior.particles import descend_unweighted, run
from dpm_ppl.posterior.twists import ByVariance, PaperTwist
from dpm_ppl.smc import systematic
from tests.posterior.test_conjugate import correlated

DIFFUSION = correlated(200)
VARIANCE = 1.0


def simulate(key):
    chain_key, noise_key = jax.random.split(key)
    x_1, *_ = descend(DIFFUSION, chain_key, lambda none, *_: (none, None), None)
    x_0 = last_step(DIFFUSION, chain_key, x_1)
    return {"x_0": x_0}, x_0[0] + jnp.sqrt(VARIANCE) * jax.random.normal(noise_key)


def observed(y):
    value = jnp.array([1.0, 0.0]) * y
    return NormalCoordinates(
        value=value, variance=jnp.full(2, VARIANCE), seen=jnp.array([True, False]), event_shape=(2,)
    )


def by_smc(y, key):
    seen = observed(y)
    state, _ = run(DIFFUSION, ByVariance(seen), seen, key, 256, systematic, 0.5)
    chosen = systematic(jax.random.fold_in(key, 1), state.log_weights)
    return {"x_0": state.particles[jax.random.permutation(jax.random.fold_in(key, 2), chosen)[:99]]}


def by_the_paper(y, key):
    return {"x_0": descend_unweighted(DIFFUSION, PaperTwist(observed(y), False), key, 99)}


@pytest.mark.slow
@pytest.mark.parametrize(("approximate", "passes"), [(by_smc, True), (by_the_paper, False)])
def test_smc_is_calibrated_and_the_paper_is_not(approximate, passes):
    found = calibrate(simulate, approximate, jax.random.key(5), num_simulations=1000, simulations_chunk=100)
    assert (found.p_value > 0.05) is passes, str(found)
