"""The check values of the theory for bits: sums over all states, and the best that any model of heartbeats can do."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions.kl import kl_divergence

from dpm_ppl._common.sums import map_chunks
from dpm_ppl.diffusion.bounds import bound, entropy_bounds
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.terms import end_divergence, fixed_edge
from dpm_ppl.kernels import BernoulliKernel, clean_rate, direct_rate
from dpm_ppl.schedules import Erasure, LogSNR
from tests import reference
from tests.comparisons import assert_exact, assert_within
from tests.oracles import AtRest, atoms_diffusion

KEY = jax.random.key(0)
BITS = np.log(2)


@eqx.filter_jit
def enumerated_bound(diffusion: Diffusion, x_0, states):
    """K(x_0) with the sums over x_t of the closed form done over all states; edge fixed."""
    data, states = jnp.broadcast_arrays(x_0[:, None], states[None])

    def at_step(step):
        chances = jnp.exp(diffusion.marginal(data, step).log_prob(states))
        return (chances * kl_divergence(diffusion.bridge(states, data, step), diffusion.reverse(states, step))).sum(1)

    divergences = map_chunks(at_step, diffusion.steps[1:], None)
    return fixed_edge(diffusion, x_0) - divergences.sum(axis=0) - end_divergence(diffusion, x_0)


@pytest.mark.parametrize("kernel", [BernoulliKernel(0.2), BernoulliKernel(0.5, clean_rate)], ids=str)
def test_the_null_bound_of_bits(kernel, x64):
    diffusion = Diffusion(kernel, LogSNR(5, first=9.0, last=-4.0), AtRest(1), (2,))
    states = jnp.asarray(reference.all_states(2))
    assert_exact(enumerated_bound(diffusion, states, states), diffusion.stationary().log_prob(states))


def binary_entropy(rate):
    return -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)


@pytest.mark.parametrize("kernel", [BernoulliKernel(0.2), BernoulliKernel(0.5, clean_rate)], ids=str)
def test_independent_bits(kernel, x64):
    """The best reverse chain leaves nothing but the edge between K and the entropy of the data."""
    rate, beta, num_steps = 0.35, 0.25, 4
    atoms, weights = reference.all_states(1), np.array([1 - rate, rate])
    diffusion = atoms_diffusion(kernel, Erasure(num_steps), atoms, weights)
    got = weights @ enumerated_bound(diffusion, jnp.asarray(atoms), jnp.asarray(atoms))
    transition = (1 - beta) * np.eye(2) + beta * np.array([1 - kernel.pi, kernel.pi])
    joint = weights[:, None] * transition  # x_0, x_1
    edge = np.sum(joint * (np.log(joint / joint.sum(axis=0)) - np.log(transition.T)))
    assert_exact(got, -binary_entropy(rate) - edge)


@pytest.mark.parametrize(
    ("num_steps", "pi", "readout", "bits"),
    [
        (3, 0.2, direct_rate, -3.569062),
        (3, 0.5, clean_rate, -4.385992),
        (10, 0.2, clean_rate, -3.118061),
        (10, 0.5, direct_rate, -3.512796),
        (50, 0.2, direct_rate, -2.592350),
        (50, 0.5, clean_rate, -2.723700),
    ],
)
def test_short_heartbeat(num_steps, pi, readout, bits, x64):
    """The best factorised reverse chain for one pulse in five bits, over all states."""
    atoms, states = reference.pulses(5), reference.all_states(5)
    diffusion = atoms_diffusion(BernoulliKernel(pi, readout), Erasure(num_steps), atoms)
    got = enumerated_bound(diffusion, jnp.asarray(atoms), jnp.asarray(states)).mean()
    assert got / BITS == pytest.approx(bits, abs=1e-6)
    assert_exact(got, reference.best_factorised_bound(atoms, np.full(5, 0.2), reference.erasure(num_steps), pi))


def test_short_heartbeat_from_draws():
    diffusion = atoms_diffusion(BernoulliKernel(0.2), Erasure(10), reference.pulses(5))
    assert_within(bound(diffusion, np.tile(reference.pulses(5), (400, 1)), KEY).K / BITS, -3.118061)


def test_short_heartbeat_over_all_paths(x64):
    """The same K by its definition: a sum over every path of the forward chain."""
    diffusion = atoms_diffusion(BernoulliKernel(0.2), Erasure(3), reference.pulses(5))
    states = jnp.asarray(reference.all_states(5))
    paths = states[jnp.asarray(np.stack(np.meshgrid(*[np.arange(32)] * 3), axis=-1).reshape(-1, 3))]
    x_0 = jnp.asarray(reference.pulses(5)[0])  # the five phases are alike

    @eqx.filter_jit
    def total(diffusion, x_0, paths):
        log_q = ForwardChain(diffusion, x_0).log_prob(paths)
        log_p = ReverseChain(diffusion).log_prob(paths) + diffusion.edge_law(paths[:, 0]).log_prob(x_0)
        return (jnp.exp(log_q) * (log_p - log_q)).sum(), jnp.exp(log_q).sum(), jnp.exp(log_p).sum()

    K, forward, model = total(diffusion, x_0, paths)
    assert_exact(forward, 1)
    assert pytest.approx(-3.569062, abs=1e-6) == K / BITS
    assert jnp.log(model) > K


@pytest.mark.parametrize(
    ("num_steps", "pi", "bits", "num_data"),
    [
        (20, 0.2, -4.84257, 2000),
        (100, 0.2, -2.97370, 2000),
        pytest.param(500, 0.2, -2.48196, 500, marks=pytest.mark.slow),
        pytest.param(2000, 0.2, -2.36833, 200, marks=pytest.mark.slow),
        pytest.param(2000, 0.5, -2.39142, 200, marks=pytest.mark.slow),
    ],
)
def test_heartbeat(num_steps, pi, bits, num_data):
    """The best any model of this form can do, which the paper's -2.414 bits come near to."""
    atoms = reference.pulses(20)
    diffusion = atoms_diffusion(BernoulliKernel(pi), Erasure(num_steps), atoms)
    K = np.asarray(bound(diffusion, np.tile(atoms, (num_data // 5, 1)), KEY, data_chunk=100).K) / BITS
    assert_within(K, bits)
    assert K.std() / np.sqrt(num_data) < 0.03


def test_heartbeat_null():
    diffusion = Diffusion(BernoulliKernel(0.2), Erasure(10), AtRest(1), (20,))
    result = bound(diffusion, np.tile(reference.pulses(20), (40, 1)), KEY)
    np.testing.assert_allclose(result.L_null / BITS, -14.43856, atol=1e-5)
    assert_within(result.K / BITS, -14.43856)


def test_bit_entropy_bounds():
    """H_q(X^{t-1} | X^t) of one bit by summation, against the bounds from draws."""
    pi, rate, num_steps = 0.2, 0.45, 6
    diffusion = atoms_diffusion(BernoulliKernel(pi), Erasure(num_steps), np.array([[0], [1]]), (1 - rate, rate))
    x_0 = jnp.asarray(np.arange(20_000) % 100 < 100 * rate, int)[:, None]
    got = entropy_bounds(diffusion, x_0, KEY)

    def entropy(*p):
        return -sum(np.sum(q * np.log(q)) for q in p)

    for t in range(2, num_steps + 1):
        on = (1 - (t - 1) / num_steps) * rate + (t - 1) / num_steps * pi
        before = np.array([1 - on, on])
        beta = 1 / (num_steps - t + 1)
        joint = before[:, None] * ((1 - beta) * np.eye(2) + beta * np.array([1 - pi, pi]))
        exact = entropy(joint) - entropy(joint.sum(axis=0))
        forward = entropy(joint) - entropy(before)
        assert got.uncorrected_upper[t - 1] == pytest.approx(forward, abs=0.005)
        assert got.lower[t - 1] - 0.005 <= exact <= got.upper[t - 1] + 0.005
    assert got.lower[0] > -np.inf
