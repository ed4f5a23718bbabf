"""The outputs that the `noise_prediction` readout takes, from the mean and variance of x_0 given x_t."""

import jax.numpy as jnp

from dpm_ppl._common.types import Array, Datum, Float
from dpm_ppl.schedules.steps import Step

READOUT = "noise_prediction"
"""The name of the readout that these outputs are made for."""


def outputs_of(location: Array, variance: Array, step: Step) -> Float[Array, "*event outputs"]:
    """Location and scale, of which the latter widens the bridge's variance by that of x_0 given x_t."""
    return jnp.stack([location, _scale_output(variance, step)], axis=-1)


def location_of(mean: Array, x_t: Datum, step: Step) -> Array:
    """The location that makes `mean` the x_0 which the predicted noise implies."""
    return (jnp.exp(0.5 * step.log_alpha_bar) * x_t - mean) * jnp.exp(-0.5 * step.log_noise)


def _scale_output(variance: Array, step: Step) -> Array:
    """The `scale` with which `noise_prediction` gives the bridge's variance, widened by that of x_0 given x_t."""
    at_edge = jnp.isneginf(step.log_noise_prev)
    log_noise_prev = jnp.where(at_edge, step.log_noise, step.log_noise_prev)  # any finite number: not used at t = 1
    log_widening = jnp.log1p(jnp.exp(step.log_noise_gain - log_noise_prev) * variance)
    # Positive where nothing of the signal is left to lose, and the widening is 0.
    log_ratio = jnp.where(at_edge, 1.0, jnp.maximum(-step.log_noise_ratio, jnp.finfo(variance.dtype).tiny))
    share = jnp.clip(log_widening / (2 * log_ratio), 1e-4, 1 - 1e-4)
    return jnp.where(at_edge, jnp.log(variance) - step.log_beta, jnp.log(share) - jnp.log1p(-share))
