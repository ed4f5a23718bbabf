"""Particles in parts that fit the memory budget: the same figures, in a bounded amount of memory."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from dpm_ppl import memory_budget
from dpm_ppl.posterior import SMC, Paper, condition, particles
from dpm_ppl.posterior.observations import NormalCoordinates
from dpm_ppl.posterior.side_by_side import within_budget
from dpm_ppl.posterior.twists import ByVariance
from dpm_ppl.smc import systematic
from tests._common.test_memory import gaussian
from tests.instances import instance, small

KEY = jax.random.key(0)
NUM, BUDGET = 1000, 2**18
BITS = small(dpm.BernoulliKernel(), dpm.Erasure(4), (3,))
SEEN = NormalCoordinates(value=jnp.ones(2), variance=jnp.full(2, 0.1), seen=jnp.array([True, False]), event_shape=(2,))


@pytest.mark.parametrize(
    ("diffusion", "likelihood", "observed", "method"),
    [
        (gaussian(), lambda x_0: dist.Normal(x_0[0], 0.3), 1.0, SMC(NUM)),
        instance(gaussian(), lambda x_0: dist.Normal(x_0[0], 0.3), 1.0, Paper(NUM), quick=False),
        (BITS, lambda x_0: dist.Bernoulli(0.1 + 0.8 * x_0), np.array([0, 1, 1]), SMC(NUM)),
    ],
)
def test_a_small_budget_divides_the_particles_and_changes_no_result(
    monkeypatch, diffusion, likelihood, observed, method
):
    sizes, led = [], particles.led

    def recorded(diffusion, twist, x_t, step, side_by_side):
        sizes.append(side_by_side)
        return led(diffusion, twist, x_t, step, side_by_side)

    monkeypatch.setattr(particles, "led", recorded)
    whole = condition(diffusion, likelihood, observed, key=KEY, method=method)
    with memory_budget(20_000):
        parts = condition(diffusion, likelihood, observed, key=KEY, method=method)
    assert sizes[0] == NUM
    assert 1 < sizes[-1] < NUM / 4
    np.testing.assert_allclose(parts.draws, whole.draws, atol=2e-3)
    np.testing.assert_allclose(parts.log_weights, whole.log_weights, atol=2e-3)
    if whole.log_evidence is not None:
        np.testing.assert_allclose(parts.log_evidence.mean, whole.log_evidence.mean, atol=1e-4)


def test_memory_is_what_the_budget_says_and_what_is_kept_of_each_particle():
    diffusion, twist = gaussian(512), ByVariance(SEEN)

    def taken(num, side_by_side):
        arguments = diffusion, twist, SEEN, KEY, num, systematic, 0.5, side_by_side
        return particles._run.lower(*arguments).compile().compiled.memory_analysis().temp_size_in_bytes

    num = 4096
    with memory_budget(BUDGET):
        side_by_side = within_budget(diffusion, twist, num)
    of_parts = taken(num, side_by_side)
    kept_of_each = (taken(2 * num, side_by_side) - of_parts) / num
    assert kept_of_each < 300  # bytes, of a few arrays of one or two numbers
    assert of_parts < BUDGET + kept_of_each * num
    assert of_parts < taken(num, num) / 10
