"""What the reverse law of a step implies about x_0 given x_t: its mean and its variance by coordinate, or its law.

The best reverse law of step t is the bridge q(x_{t-1} | x_t, x_0), averaged over p(x_0 | x_t). So its mean tells the
mean of x_0, whatever the network's outputs mean, and its variance that of x_0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from dpm_ppl._common.numpyro_seam import BernoulliLogits, CategoricalLogits, Distribution
from dpm_ppl._common.types import Array, Batch
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.kernels import CategoricalKernel
from dpm_ppl.kernels._levels import padded
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.schedules.steps import Step

LEAST_SHARE = 1e-6
"""Of the noise's variance, which the variance of x_0 is not allowed to fall below."""


def coordinates(law: Distribution) -> Any:
    """The law of each coordinate, of a law of one datum."""
    return getattr(law, "base_dist", law)


def stationary(diffusion: StepLaws, num_particles: int) -> Distribution:
    """The law of x_T, for each particle."""
    return diffusion.kernel.stationary((num_particles, *diffusion.event_shape)).to_event(diffusion.event_dim)


class Predicted(NamedTuple):
    """Of x_0 given x_t; each `(*batch, *event_shape)`."""

    mean: Batch
    variance: Batch
    reverse: NormalStep
    """p(x_{t-1} | x_t), for each coordinate."""


def predict(diffusion: StepLaws, x_t: Batch, step: Step) -> Predicted:
    """Mean and variance of x_0 by coordinate, from x_t of a Gaussian diffusion; `step` is one step t >= 2."""
    reverse = coordinates(diffusion.reverse(x_t, step))
    forward = coordinates(diffusion.transition(x_t, step))
    shift = reverse.displacement - forward.displacement
    mean = jnp.exp(0.5 * step.log_alpha_bar) * x_t + jnp.exp(0.5 * (step.log_noise - step.log_noise_gain)) * shift
    # The bridge alone has log_noise_ratio; what is above it comes from not knowing x_0, up to the noise of x_t itself.
    excess = jnp.exp(step.log_noise_ratio) * jnp.expm1(reverse.log_ratio - step.log_noise_ratio)
    share = jnp.maximum(excess * jnp.exp(-step.log_noise_gain), LEAST_SHARE)
    return Predicted(mean, step.noise * share, reverse)


def reach(step: Step) -> Array:
    """d x_{t-1} / d x_0 of the bridge: sqrt(alpha_bar_{t-1}) beta_t / noise_t."""
    return jnp.exp(0.5 * step.log_alpha_bar_prev + step.log_beta - step.log_noise)


class PredictedLevels(NamedTuple):
    """Of x_0 and x_{t-1} given x_t, by coordinate."""

    log_law: Array
    """log P(x_0 = u | x_t) of every level u, `(*batch, *event_shape, levels)`; -inf for states that are none."""
    reverse: Distribution
    log_mean: Callable[[Array], Array]
    """log E[r(x_0) | x_{t-1}, x_t] for every x_{t-1}, from log r of every level."""


def predict_levels(diffusion: StepLaws, x_t: Batch, step: Step) -> PredictedLevels:
    """The law of x_0 from x_t of a diffusion of bits or levels; `step` is one step t >= 2."""
    if isinstance(diffusion.kernel, CategoricalKernel):
        return _predict_levels(diffusion, diffusion.kernel, x_t, step)
    return _predict_bits(diffusion, x_t, step)


def _predict_bits(diffusion: StepLaws, x_t: Batch, step: Step) -> PredictedLevels:
    """Where the reverse rate lies outside of what the bridge can give, x_0 is taken to be known."""
    reverse = coordinates(diffusion.reverse(x_t, step))
    if_zero, if_one = (coordinates(diffusion.bridge(x_t, jnp.full_like(x_t, bit), step)) for bit in (0, 1))
    low, high = jax.nn.sigmoid(if_zero.logits), jax.nn.sigmoid(if_one.logits)
    apart = jnp.maximum(high - low, jnp.finfo(low.dtype).tiny)
    rate = jnp.clip((jax.nn.sigmoid(reverse.logits) - low) / apart, 0.0, 1.0)
    log_law = jnp.stack([jnp.log1p(-rate), jnp.log(rate)], axis=-1)
    log_joint = log_law[..., None] + jnp.stack([log_levels(if_zero), log_levels(if_one)], axis=-2)

    def log_mean(log_factors: Array) -> Array:
        return logsumexp(log_joint + log_factors[..., None], axis=-2) - logsumexp(log_joint, axis=-2)

    return PredictedLevels(log_law, reverse, log_mean)


def _predict_levels(diffusion: StepLaws, kernel: CategoricalKernel, x_t: Batch, step: Step) -> PredictedLevels:
    outputs = diffusion.outputs(x_t, step)
    log_clean, moves = kernel.log_clean(outputs), kernel.moves
    log_seen = moves.before(x_t.astype(jnp.int32), step.log_alpha_bar, step.log_noise)

    def carried(log_law: Array) -> Array:
        log_total = logsumexp(log_law, axis=-1, keepdims=True)
        found = moves.carried(log_law - log_total, step.log_alpha_bar_prev, step.log_noise_prev)
        return jnp.where(jnp.isneginf(log_total), -jnp.inf, found + log_total)

    def log_mean(log_factors: Array) -> Array:
        return carried(log_clean + padded(log_factors, log_clean.shape[-1])) - carried(log_clean)

    return PredictedLevels(jax.nn.log_softmax(log_clean + log_seen), kernel.reverse(outputs, x_t, step), log_mean)


def log_levels(law: Distribution) -> Array:
    """Log-probabilities of each value of a law of bits or levels, along a last axis."""
    if isinstance(law, BernoulliLogits):
        return jnp.stack([jax.nn.log_sigmoid(-law.logits), jax.nn.log_sigmoid(law.logits)], axis=-1)
    assert isinstance(law, CategoricalLogits)
    return jax.nn.log_softmax(law.logits)
