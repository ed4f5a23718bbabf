"""What the reverse law of a step implies about x_0 given x_t: its mean and its variance by coordinate, or its rates.

The best reverse law of step t is the bridge q(x_{t-1} | x_t, x_0), averaged over p(x_0 | x_t). So its mean tells the
mean of x_0, whatever the network's outputs mean, and its variance that of x_0.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dpm_ppl._common.numpyro_seam import BernoulliLogits, Distribution
from dpm_ppl._common.types import Array, Batch
from dpm_ppl.diffusion.step_laws import StepLaws
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


class PredictedBits(NamedTuple):
    """Of x_0 and x_{t-1} given x_t; each `(*batch, *event_shape)`."""

    log_rate: Batch
    """log P(x_0 = 1 | x_t)"""
    log_other: Batch
    """log P(x_0 = 0 | x_t)"""
    if_one: BernoulliLogits
    """q(x_{t-1} | x_t, x_0 = 1)"""
    if_zero: BernoulliLogits
    reverse: BernoulliLogits


def predict_bits(diffusion: StepLaws, x_t: Batch, step: Step) -> PredictedBits:
    """The rates of x_0 from x_t of a Bernoulli diffusion.

    Where the reverse rate lies outside of what the bridge can give, x_0 is taken to be known.
    """
    reverse = coordinates(diffusion.reverse(x_t, step))
    if_one = coordinates(diffusion.bridge(x_t, jnp.ones_like(x_t), step))
    if_zero = coordinates(diffusion.bridge(x_t, jnp.zeros_like(x_t), step))
    low, high = jax.nn.sigmoid(if_zero.logits), jax.nn.sigmoid(if_one.logits)
    apart = jnp.maximum(high - low, jnp.finfo(low.dtype).tiny)
    rate = jnp.clip((jax.nn.sigmoid(reverse.logits) - low) / apart, 0.0, 1.0)
    return PredictedBits(jnp.log(rate), jnp.log1p(-rate), if_one, if_zero, reverse)
