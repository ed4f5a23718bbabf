"""Posteriors of few bits, against the sum over all of them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from dpm_ppl.posterior import SMC, Gibbs, Paper, Twist, condition
from dpm_ppl.posterior.by_coordinate import known_coordinates
from dpm_ppl.posterior.observations import Levels
from dpm_ppl.posterior.particles import run
from dpm_ppl.posterior.recognition import recognised
from dpm_ppl.posterior.twists import ByRates, EnumeratedTwist, twist_for
from dpm_ppl.smc import systematic
from tests.instances import small

KEY = jax.random.key(1)
STATES = np.array(list(itertools.product([0, 1], repeat=8)))
DIFFUSION = small(dpm.BernoulliKernel(0.4, dpm.clean_rate), dpm.Erasure(10), (8,), scale=1.5)
FLIPPED = np.array([1, 0, 0, 1, 1, 1, 0, 1])
HALF = np.array([1, 0, np.nan, 1, np.nan, np.nan, np.nan, 1])


def flips(x_0):
    return dist.Bernoulli(jnp.where(x_0 > 0, 0.85, 0.15))


OBSERVATIONS = {
    "flips": recognised(DIFFUSION, flips, FLIPPED),
    "known bits": known_coordinates(DIFFUSION, HALF),
}


@functools.cache
def prior():
    """p(x_0) of every state, by pushing the law of x_T down the chain."""
    states = jnp.asarray(STATES)

    def log_laws(law):
        of_all = jax.vmap(lambda to: law.log_prob(jnp.broadcast_to(to, states.shape)), out_axes=1)
        return np.asarray(of_all(states), np.float64)

    law = np.exp(np.asarray(DIFFUSION.stationary().log_prob(states), np.float64))
    for t in range(DIFFUSION.num_steps, 1, -1):
        law = law @ np.exp(log_laws(DIFFUSION.reverse(states, DIFFUSION.steps[t - 1])))
    return law @ np.exp(log_laws(DIFFUSION.edge_law(states)))


def exact(observation):
    """Posterior mean of each bit, and the evidence."""
    joint = prior() * np.exp(np.asarray(observation.log_prob(jnp.asarray(STATES)), np.float64))
    return np.clip(joint @ STATES / joint.sum(), 0.0, 1.0), joint.sum()


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_bits_are_recognised(name):
    assert isinstance(OBSERVATIONS[name], Levels)
    assert isinstance(twist_for(DIFFUSION, OBSERVATIONS[name]), EnumeratedTwist)
    assert abs(prior().sum() - 1) < 1e-5


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_the_enumerated_twist_leaves_no_weights(name):
    seen, num = OBSERVATIONS[name], 4000
    state, _ = run(DIFFUSION, twist_for(DIFFUSION, seen), seen, KEY, num, systematic, 0.0)
    mean, evidence = exact(seen)
    assert np.ptp(np.asarray(state.log_weights)) < 1e-3
    assert abs(float(state.log_evidence) - np.log(evidence)) < 1e-3
    assert (np.abs(np.asarray(state.particles).mean(axis=0) - mean) < 4 * np.sqrt(mean * (1 - mean) / num) + 1e-3).all()


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_independent_rates_are_corrected_by_weights(name):
    seen, num = OBSERVATIONS[name], 4000
    state, _ = run(DIFFUSION, ByRates(seen), seen, KEY, num, systematic, 0.5)
    mean, _ = exact(seen)
    weights = np.exp(np.asarray(state.log_weights, np.float64))
    # Particles that descend from one are no independent draws: what counts is the spread between families.
    apart = weights[:, None] * (np.asarray(state.particles) - mean)
    families = np.zeros_like(apart)
    np.add.at(families, np.asarray(state.eves), apart)
    error = np.sqrt((families**2).sum(axis=0))
    assert (np.abs(weights @ np.asarray(state.particles) - mean) < 4 * error + 1e-3).all()


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_the_evidence_is_unbiased(name):
    seen = OBSERVATIONS[name]
    log_z = jax.lax.map(
        lambda key: run(DIFFUSION, ByRates(seen), seen, key, 32, systematic, 0.5)[0].log_evidence,
        jax.random.split(KEY, 400),
    )
    ratio = np.exp(np.asarray(log_z, np.float64)) / exact(seen)[1]
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))


@pytest.mark.slow
def test_gibbs_finds_the_posterior():
    mean, evidence = exact(OBSERVATIONS["flips"])
    found = condition(DIFFUSION, flips, FLIPPED, key=KEY, method=Gibbs(8, num_sweeps=3000, num_warmup=50))
    error = np.sqrt(mean * (1 - mean) / found.statistics["smallest_ess"])
    assert (np.abs(found.mean() - mean) < 4 * error).all()
    assert abs(found.log_evidence.mean - np.log(evidence)) < 4 * found.log_evidence.se + 1e-3


def test_known_bits_stay_as_they_are():
    seen = ~np.isnan(HALF)
    for method in (SMC(200), Twist(200), Paper(200)):
        draws = condition(DIFFUSION, None, HALF, key=KEY, method=method).draws
        assert (draws[:, seen] == HALF[seen]).all()
