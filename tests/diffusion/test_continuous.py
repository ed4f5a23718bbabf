"""K in continuous time: its closed form for Gaussian data, and the chains of T steps of which it is the limit."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion import Diffusion, bound, continuous_bound
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction, perturbation, velocity
from dpm_ppl.objectives import ContinuousELBO
from dpm_ppl.schedules import Erasure, LearnedLogSNR, LogSNR
from dpm_ppl.schedules.log_snr import LEAST_SHARE
from tests.instances import draw_data, small
from tests.oracles import GaussianOracle, SigmaPointKernel

FIRST, LAST = 7.0, -5.0


def uneven(num_steps, num_parts=8):
    """A learned schedule far from linear."""
    schedule = LearnedLogSNR(num_steps, FIRST, LAST, num_parts=num_parts)
    return eqx.tree_at(lambda one: one.logits, schedule, jnp.asarray(np.random.default_rng(0).normal(size=num_parts)))


def best(s2, schedule, readout=velocity, kernel=SigmaPointKernel):
    """The best chain for pairs of coordinates from N(0, s2), which `SigmaPointKernel` averages exactly."""
    return Diffusion(kernel(readout), schedule, GaussianOracle(jnp.asarray(s2)), (2,))


def closed_form(s2, first=FIRST, last=LAST):
    """Per coordinate: -h(x_0) - KL(q(x_T) || pi) - E KL(q(x_0 | x_1) || T_pi(x_0 | x_1; beta_1)), and nothing else."""
    signal_1, signal_T = jax.nn.sigmoid(jnp.asarray([first, last]))
    var_1, var_T = signal_1 * s2 + 1 - signal_1, signal_T * s2 + 1 - signal_T
    entropy = 0.5 * jnp.log(2 * jnp.pi * jnp.e * s2)
    end = 0.5 * (var_T - 1 - jnp.log(var_T))
    ratio = s2 / var_1
    edge = 0.5 * (ratio - 1 - jnp.log(ratio) + signal_1 * (ratio - 1) ** 2 * var_1 / (1 - signal_1))
    return -entropy - end - edge


@pytest.mark.parametrize(
    ("schedule", "readout"),
    [(LogSNR(2, FIRST, LAST), noise_prediction), (uneven(2), velocity)],
    ids=["linear, noise prediction", "uneven, velocity"],
)
def test_gaussian_data(schedule, readout, x64):
    """The closed form, whatever lies between the ends; K of a datum is linear in x_0^2, so one datum says all."""
    for s2 in (0.25, 1.0, 4.0):
        x_0 = jnp.full((1, 2), np.sqrt(s2))
        K = continuous_bound(best(s2, schedule, readout), x_0, jax.random.key(0), num_times=2**15)
        np.testing.assert_allclose(K / 2, closed_form(s2), atol=2e-4)


def test_more_steps_come_closer(x64):
    """K of T steps is less than in the limit, by a term of the order of 1 / T; the reported figure."""
    x_0 = jnp.full((1, 2), 0.5)
    missing = []
    for T in (250, 1000):
        terms = bound(best(0.25, uneven(T)), x_0, jax.random.key(0), num_draws=2)
        missing.append(closed_form(0.25) - terms.K[0] / 2)
    assert missing[0] > missing[1] > 0
    np.testing.assert_allclose(missing[0] / missing[1], 4, rtol=0.1)


@pytest.mark.slow
def test_bits():
    """Any kernel has the limit: here bits, K of 3,000 steps beside it."""
    diffusion = small(BernoulliKernel(0.2, clean_rate), LogSNR(3000, FIRST, LAST), (3,))
    x_0 = draw_data(diffusion, 64)
    K = continuous_bound(diffusion, x_0, jax.random.key(0), num_times=1024)
    difference = np.asarray(K - bound(diffusion, x_0, jax.random.key(1)).K, np.float64)
    assert abs(difference.mean()) < 4 * difference.std() / 8 + 2e-3


def gradient(schedule, x_0, s2=0.25):
    """Of the objective's loss per datum, with respect to the schedule."""

    @eqx.filter_jit
    @eqx.filter_grad
    def of_schedule(schedule, x_0):
        diffusion = best(s2, schedule)
        return -ContinuousELBO().chain_cost(diffusion, diffusion, x_0, jax.random.key(0), None).mean()

    return of_schedule(schedule, x_0)


def test_what_the_schedule_learns(x64):
    """The ends get the gradient of the bound, what lies between them that of the variance: each by another road."""
    schedule = uneven(2)
    x_0 = jnp.full((4096, 2), 0.5)
    found = gradient(schedule, x_0)

    def cost(ends):
        """What the two chains cost: the edge, E log N(x_0; sqrt(1 - beta_1) x_1, beta_1), less K."""
        beta_1 = jax.nn.sigmoid(-ends[0])
        edge = -0.5 * jnp.log(2 * jnp.pi * beta_1) - 0.5 * (beta_1 * 0.25 + 1 - beta_1)
        return 2 * (edge - closed_form(0.25, *ends))

    np.testing.assert_allclose(found.ends, jax.grad(cost)(schedule.ends), atol=2e-3)

    shares = (jnp.arange(4096) + 0.5) / 4096
    signal = jax.nn.sigmoid(FIRST - (FIRST - LAST) * shares)
    noise, signs = 1 - signal, jnp.asarray([1.0, -1.0])[:, None]
    x_t = jnp.sqrt(signal) * 0.5 + jnp.sqrt(noise) * signs
    predicted = jnp.sqrt(signal * noise) * 0.75 / (signal * 0.25 + noise) * x_t
    squares = (signal * (jnp.sqrt(signal) * signs - jnp.sqrt(noise) * 0.5 - predicted) ** 2) ** 2

    def second_moment(logits):
        """Of a rate drawn from the density of log-SNRs that these logits give, by an integral over log-SNRs."""
        spent = LEAST_SHARE / 8 + (1 - LEAST_SHARE) * jax.nn.softmax(logits)
        return jnp.log((squares / spent[jnp.arange(4096) // 512]).mean())

    np.testing.assert_allclose(found.logits, jax.grad(second_moment)(schedule.logits), atol=2e-3)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: small(GaussianKernel(velocity), Erasure(4)), "schedule"),
        (lambda: small(GaussianKernel(perturbation), LogSNR(4, FIRST, LAST)), "kernel"),
        (lambda: small(GaussianKernel(velocity), LogSNR(4, FIRST, LAST), network="sigmoid"), "network"),
    ],
)
def test_what_has_no_limit_is_refused(make, argument):
    with pytest.raises(InputError) as refused:
        continuous_bound(make(), jnp.zeros((1, 2)), jax.random.key(0))
    assert refused.value.argument == argument
