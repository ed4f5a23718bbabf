"""What every sequential Monte Carlo does with its weights: normalise them, and resample where few carry the most."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.scipy.special import logsumexp

from dpm_ppl._common.checks import number_in
from dpm_ppl._common.types import Array, Float, PRNGKey
from dpm_ppl.smc.resampling import Ancestors, LogWeights, Resample


class Info(NamedTuple):
    """What a step did before it moved the particles."""

    ess: Float[Array, ""]
    """Effective sample size 1 / sum w^2, between 1 and the number of particles."""
    resampled: Array
    ancestors: Ancestors


def normalised(log_weights: LogWeights) -> tuple[LogWeights, Float[Array, ""]]:
    """Log-weights whose exponentials sum to 1, and the logarithm of what they summed to before.

    Where every weight is zero, so is the sum, and the particles may go on as if they had no weights yet.
    """
    log_sum = logsumexp(log_weights)
    return jnp.where(jnp.isneginf(log_sum), -jnp.log(len(log_weights)), log_weights - log_sum), log_sum


def resample_if_few(
    key: PRNGKey, log_weights: LogWeights, resample: Resample, threshold: float
) -> tuple[LogWeights, Info]:
    """The weights of the particles that live on, from normalised ones, and which these are."""
    num = len(log_weights)
    ess = jnp.minimum(jnp.exp(-logsumexp(2 * log_weights)), num)
    resampled = ess <= threshold * num
    ancestors = jnp.where(resampled, resample(key, log_weights), jnp.arange(num))
    return jnp.where(resampled, -jnp.log(num), log_weights), Info(ess, resampled, ancestors)


def share_of_particles(threshold: Any) -> float:
    """A threshold: the share of the particles at or below which the effective sample size calls for resampling.

    **Raises:** `InputError` where it is none.
    """
    expected = "a share of the particles, from 0 (never resample) to 1 (always)"
    return number_in("threshold", threshold, 0, 1, closed="low high", expected=expected, remedy="use 0.5")
