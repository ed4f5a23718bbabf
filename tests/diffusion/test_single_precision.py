"""What float32 must not lose: chains of many steps with hardly any noise at first, against closed forms and float64."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions.kl import kl_divergence
from numpyro.infer import Trace_ELBO

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.sums import accurate_sum
from dpm_ppl.diffusion.bounds import bound
from dpm_ppl.diffusion.chains import ForwardChain, forward_chain, reverse_chain
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.lattice import Lattice
from dpm_ppl.diffusion.paths import log_increment
from dpm_ppl.diffusion.terms import end_divergence, fixed_edge, learned_edge, log_null, step_divergences
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction, perturbation
from dpm_ppl.likelihood import SequentialMonteCarlo, flow_log_likelihood, log_likelihood
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.schedules import Cosine, Erasure, Fixed, Learned, Linear, LogSNR
from tests import reference
from tests.instances import instance, small
from tests.oracles import AtRest, SigmaPointKernel

KEY = jax.random.key(0)
X_0 = np.array([0.0, 0.4, -1.3, 3.0])
NATS = 1e-3  # what K may be off by in each coordinate

over_readouts = pytest.mark.parametrize("readout", [perturbation, noise_prediction])
over_edges = pytest.mark.parametrize("edge", ["fixed", "learned"])
LONG = {
    "T = 1000, first = 25": lambda: LogSNR(1000, 25.0, -8.0),
    "T = 4000, first = 16.1, learned": lambda: Learned(LogSNR(4000, 16.1, -8.0)),
    "T = 10000, first = 18.4": lambda: LogSNR(10_000, 18.4, -8.0),
}


def exact_bound(diffusion, x_0=X_0):
    """The bound with exact averages over x_t, for a `SigmaPointKernel` and what is quadratic in x_t."""
    return bound(diffusion, x_0.astype(np.float32), KEY, num_draws=2, steps_chunk=1000)


@pytest.mark.parametrize(
    ("schedule", "readout", "edge"),
    [
        instance(
            *(schedule, readout, edge),
            quick=name == next(iter(LONG)) or (readout is perturbation) == (edge == "fixed"),
            name=f"{edge}-{readout.__name__}-{name}",
        )
        for name, schedule in LONG.items()
        for readout in (perturbation, noise_prediction)
        for edge in ("fixed", "learned")
    ],
)
def test_a_chain_that_has_learned_nothing(schedule, readout, edge):
    result = exact_bound(Diffusion(SigmaPointKernel(readout), schedule(), AtRest(2), (), edge))
    np.testing.assert_allclose(result.K, result.L_null, atol=NATS)


class LinearOutputs(AbstractNetwork):
    """A location in proportion to x_t and a scale, both known for every step."""

    slope: tuple[float, ...] = eqx.field(static=True)
    scale: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, x_t, step):
        slope, scale = (jnp.asarray(values)[step.t - 1] for values in (self.slope, self.scale))
        return jnp.stack([slope * x_t, jnp.broadcast_to(scale, x_t.shape)], axis=-1)


def optimal_outputs(readout, betas, s2):
    """Raw outputs that make the best reverse chain for N(0, s2), solved for in float64."""
    best = reference.optimal_reverse(betas, s2)
    before, alpha_bar = (np.cumprod(1 - betas)[at] for at in (slice(None, -1), slice(1, None)))
    beta, variance = betas[1:], best.variance[1:]
    moment = alpha_bar * s2 - np.expm1(np.cumsum(np.log1p(-betas)))[1:]
    miss = beta * np.sqrt(before) * np.sqrt(alpha_bar) * (s2 - 1) / moment  # the best slope less sqrt(alpha_t)
    assert np.allclose(miss, best.slope[1:] - np.sqrt(1 - beta), atol=1e-14)
    if readout is noise_prediction:
        noise = -np.expm1(np.cumsum(np.log1p(-betas)))
        slope = -miss * np.sqrt(noise[1:] / before) / beta
        share = np.log(variance / beta) / np.log(noise[:-1] / noise[1:])  # of the way from beta_t to the bridge's
        scale = -2 * np.arctanh(share)
    else:
        scale = np.log(variance / (1 - variance) * (1 - beta) / beta)
        loss = variance / (1 + np.sqrt(1 - variance))
        slope = (miss - (beta - variance) / (np.sqrt(1 - variance) + np.sqrt(1 - beta))) / loss
    return LinearOutputs((0.0, *slope.tolist()), (0.0, *scale.tolist()))


@over_readouts
@pytest.mark.parametrize(
    ("num_steps", "first", "s2"),
    [
        instance(num_steps, first, s2, quick=num_steps == 1000 or s2 == 1e-3)
        for num_steps, first in ((1000, 16.1), (10_000, 18.4))
        for s2 in (1.0, 0.25, 1e-3)
    ],
)
def test_the_best_chain_for_gaussian_data(readout, s2, num_steps, first):
    schedule = LogSNR(num_steps, first, -8.0)
    with jax.enable_x64(True):
        betas = np.asarray(schedule.betas)
    x_0 = np.sqrt(s2) * X_0
    outputs = optimal_outputs(readout, betas, s2)
    got = exact_bound(Diffusion(SigmaPointKernel(readout), schedule, outputs, ()), x_0)
    best = reference.optimal_reverse(betas, s2)
    expected = [reference.step_divergences(betas, best, x.item() ** 2).sum() for x in x_0]
    np.testing.assert_allclose(got.step_divergences.sum(axis=1), expected, atol=NATS)


@over_edges
@pytest.mark.parametrize(
    ("readout", "learned"), [(perturbation, False), (noise_prediction, False), (noise_prediction, True)]
)
def test_a_random_network_as_in_float64(readout, edge, learned):
    """The cost of the steps and of a learned edge with its gradient, and the log-weight of one and the same path."""
    fixed = LogSNR(1000, 18.4, -8.0)

    def figures(path=None):
        diffusion = small(SigmaPointKernel(readout), Learned(fixed) if learned else fixed, edge=edge)
        x_0 = jnp.asarray([[0.4, -1.3], [0.4, -1.3], [3.0, 0.0], [3.0, 0.0]], float)

        @eqx.filter_value_and_grad
        def cost(network):
            model = eqx.tree_at(lambda d: d.network, diffusion, network)
            points = Lattice(KEY, x_0.shape, 1)
            steps = accurate_sum(step_divergences(model, model, x_0, points)).sum()
            return steps - learned_edge(model, x_0, points(jnp.ones((), int))).sum() if edge == "learned" else steps

        def log_weight(path):
            before = jnp.concatenate([x_0[None], path[:-1]])
            return accurate_sum(jax.vmap(lambda *step: log_increment(diffusion, *step))(before, path, diffusion.steps))

        path = (
            jnp.moveaxis(ForwardChain(diffusion, x_0).sample(KEY), 1, 0) if path is None else jnp.asarray(path, float)
        )
        (value, gradient), weight = eqx.filter_jit(lambda network, path: (cost(network), log_weight(path)))(
            diffusion.network, path
        )
        return path, float(value), np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)]), weight

    path, *single = figures()
    with jax.enable_x64(True):
        _, *double = figures(path)
    assert abs(single[0] - double[0]) < 8 * NATS  # of eight coordinates
    assert np.linalg.norm(single[1] - double[1]) < 1e-4 * np.linalg.norm(double[1])
    np.testing.assert_allclose(single[2], double[2], atol=2 * NATS)


def divergences_of_bits(kernel, schedule, outputs):
    """The expected divergences over both values of x_t, summed over the steps: for x_0 = 0 and 1 and any outputs."""
    steps = schedule.steps()[1:]
    step = jax.tree.map(lambda leaf: leaf[:, None, None, None], steps)
    shape = (len(steps), 2, 2, outputs.shape[-2])
    x_t, x_0 = (jnp.broadcast_to(jnp.arange(2.0).reshape(at), shape) for at in ((2, 1, 1), (1, 2, 1)))
    outputs = jnp.broadcast_to(jnp.asarray(outputs, float), (*shape, 1))
    divergence = kl_divergence(kernel.bridge(x_t, x_0, step), kernel.reverse(outputs, x_t, step))
    chances = jnp.exp(kernel.marginal(x_0, step).log_prob(x_t))
    return accurate_sum((chances * divergence).sum(axis=1))


over_bits = pytest.mark.parametrize(
    "kernel", [BernoulliKernel(0.2), BernoulliKernel(0.2, clean_rate)], ids=["direct rate", "clean rate"]
)


@pytest.mark.parametrize(
    ("schedule", "kernel"),
    [
        instance(LogSNR(10_000, 18.4, -8.0), BernoulliKernel(0.2), quick=False, name="log-snr-direct rate"),
        instance(LogSNR(10_000, 18.4, -8.0), BernoulliKernel(0.2, clean_rate), quick=True, name="log-snr-clean rate"),
        instance(Erasure(10_000), BernoulliKernel(0.2), quick=True, name="erasure-direct rate"),
        instance(Erasure(10_000), BernoulliKernel(0.2, clean_rate), quick=False, name="erasure-clean rate"),
    ],
)
def test_bits_as_in_float64(kernel, schedule):
    """For outputs of zero, which stand for no divergence, small and large."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(9999, 2, 2, 3, 1)) * np.array([0.0, 0.1, 2.0])[:, None]
    single = divergences_of_bits(kernel, schedule, outputs)
    with jax.enable_x64(True):
        double = divergences_of_bits(kernel, schedule, outputs)
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=NATS)


VANISHING = {
    "log-snr": lambda: LogSNR(20, 80.0, -80.0),
    "log-snr, wider": lambda: LogSNR(20, 200.0, -200.0),
    "log-snr, no signal left": lambda: LogSNR(20, 12.0, -1e300),
    "fixed": lambda: Fixed([1e-300, 0.1, 1e-300, 0.2]),
    "erasure": lambda: Erasure(20, beta_1=1e-40),
    "linear": lambda: Linear(20, beta_1=1e-20),
    "cosine": lambda: Cosine(20, max_beta=1e-100),
}
over_vanishing = pytest.mark.parametrize("schedule", VANISHING.values(), ids=VANISHING)


@pytest.mark.parametrize(
    ("readout", "schedule"),
    [
        instance(
            *(readout, schedule),
            quick=readout is perturbation or name in ("log-snr", "fixed"),
            name=f"{readout.__name__}-{name}",
        )
        for readout in (perturbation, noise_prediction)
        for name, schedule in VANISHING.items()
    ],
)
def test_rates_too_small_to_move_anything(schedule, readout):
    """The noise of x_t is known where x_t itself is lost in rounding; and training starts from finite values."""
    diffusion = Diffusion(SigmaPointKernel(readout), schedule(), AtRest(2), ())
    result = exact_bound(diffusion)
    np.testing.assert_allclose(result.K, result.L_null, atol=NATS)
    assert np.isfinite(result.entropy_first).all()
    programs = [partial(chain, diffusion) for chain in (reverse_chain, forward_chain)]
    for objective in (DiffusionELBO(), Trace_ELBO()):
        loss = objective.loss(KEY, {}, *programs, jnp.asarray(X_0, float))
        assert np.isfinite(loss)


@over_bits
@over_vanishing
def test_rates_too_small_to_flip_a_bit(schedule, kernel):
    diffusion, bits = Diffusion(kernel, schedule(), AtRest(1), ()), jnp.arange(2.0)
    steps = divergences_of_bits(kernel, schedule(), np.zeros((1, 1)))[:, 0]
    K = fixed_edge(diffusion, bits) - steps - end_divergence(diffusion, bits)
    np.testing.assert_allclose(K, log_null(diffusion, bits), atol=NATS)


@pytest.mark.parametrize(
    "read",
    [
        lambda fine: Learned(fine.schedule),
        lambda fine: Diffusion(fine.kernel, fine.schedule, fine.network, (), "learned"),
        lambda fine: log_likelihood(fine, X_0, KEY),
        lambda fine: log_likelihood(fine, X_0, KEY, proposal=SequentialMonteCarlo(8)),
        lambda fine: flow_log_likelihood(fine, X_0, KEY),
    ],
)
def test_what_would_read_them_off_x_t_is_refused(read, unchecked):
    fine = Diffusion(GaussianKernel(noise_prediction), LogSNR(20, 40.0, -8.0), AtRest(2), ())
    with pytest.raises(InputError, match=r"beta_1 >= 3.6e-12 .* float32 .* the first beta_1 = 4.2e-18"):
        read(fine)
    with jax.enable_x64(True):
        read(fine)
