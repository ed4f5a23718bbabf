"""Posteriors of a few levels, against the sum over all of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from dpm_ppl.kernels import CategoricalKernel, absorbing, discretised_gaussian
from dpm_ppl.posterior import SMC, condition
from dpm_ppl.posterior.by_coordinate import flipped, known_coordinates, noisy_levels
from dpm_ppl.posterior.observations import Levels
from dpm_ppl.posterior.particles import run
from dpm_ppl.posterior.recognition import recognised
from dpm_ppl.posterior.twists import ByRates, EnumeratedTwist, twist_for
from dpm_ppl.smc import systematic
from tests.instances import small
from tests.likelihood.exact import probabilities_of

KEY = jax.random.key(1)
MASKED = small(CategoricalKernel(absorbing(3)), dpm.Erasure(6), (3,), edge="learned", scale=1.5)
WALK = small(CategoricalKernel(discretised_gaussian(3)), dpm.Erasure(6, beta_1=0.02), (3,), scale=1.5)
NOISY = np.array([1.4, 0.2, 2.3])
CASES = {
    "masks, known": (MASKED, known_coordinates(MASKED, np.array([np.nan, 2, np.nan]))),
    "masks, noisy": (MASKED, noisy_levels(NOISY, 0.6, 3)),
    "walk, flipped": (WALK, flipped(np.array([1.0, np.nan, 2.0]), 0.3, 3)),
}
over_cases = pytest.mark.parametrize("name", CASES)


def exact(diffusion, observation):
    """Posterior mean of each level, its variance, and the evidence."""
    num_states = len(diffusion.kernel.moves.stationary)
    states = np.array(list(itertools.product(range(num_states), repeat=3)))
    likelihood = np.exp(np.asarray(observation.log_prob(jnp.asarray(states)), np.float64))
    joint = probabilities_of(diffusion, states) * likelihood
    mean = joint @ states / joint.sum()
    return mean, joint @ (states - mean) ** 2 / joint.sum(), joint.sum()


@over_cases
def test_the_enumerated_twist_leaves_no_weights(name):
    (diffusion, seen), num = CASES[name], 4000
    twist = twist_for(diffusion, seen)
    assert isinstance(twist, EnumeratedTwist)
    state, _ = run(diffusion, twist, seen, KEY, num, systematic, 0.0)
    mean, variance, evidence = exact(diffusion, seen)
    assert np.ptp(np.asarray(state.log_weights)) < 1e-3
    assert abs(float(state.log_evidence) - np.log(evidence)) < 1e-3
    assert (np.abs(np.asarray(state.particles).mean(axis=0) - mean) < 4 * np.sqrt(variance / num) + 1e-3).all()


@over_cases
def test_independent_rates_are_corrected_by_weights(name):
    """Evidence without bias, and with it the mean, from many runs of a few particles."""
    diffusion, seen = CASES[name]

    def one(key):
        state, _ = run(diffusion, ByRates(seen), seen, key, 32, systematic, 0.5)
        return state.log_evidence, jnp.exp(state.log_weights) @ state.particles

    log_z, means = jax.lax.map(one, jax.random.split(KEY, 400))
    mean, _, evidence = exact(diffusion, seen)
    ratio, means = np.exp(np.asarray(log_z, np.float64)) / evidence, np.asarray(means, np.float64)
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio)) + 1e-4
    apart = ratio[:, None] * (means - mean)
    assert (np.abs(apart.mean(axis=0)) < 4 * apart.std(axis=0) / np.sqrt(len(ratio)) + 1e-3).all()


def test_products_over_levels_are_recognised():
    found = recognised(WALK, lambda x_0: dist.Normal(x_0, 0.6), NOISY)
    assert isinstance(found, Levels)
    of_each = found.log_factors - found.log_factors[:, :1]  # a constant may stand with any coordinate
    expected = noisy_levels(NOISY, 0.6, 3).log_factors
    np.testing.assert_allclose(of_each, expected - expected[:, :1], rtol=1e-4, atol=1e-4)


def test_known_levels_stay_as_they_are():
    draws = condition(MASKED, None, np.array([np.nan, 2, np.nan]), key=KEY, method=SMC(200)).draws
    assert (draws[:, 1] == 2).all()
    assert set(np.unique(draws)) <= {0, 1, 2}
