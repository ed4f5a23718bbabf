"""`SpikeSlabNetwork`, for data with many levels of which a few are frequent, such as the black of most pixels.

`LevelNetwork` asks for a number for each level and coordinate: 256 for 8 bits. Here only the frequent levels have a
probability of their own, and all others together are one normal law whose mean and deviation are predicted too. (Point
masses beside a wide law are known as "spike and slab" from regression, Mitchell and Beauchamp 1988; these spikes are as
wide as a level.)
"""

from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr

from dpm_ppl._common.types import Array, Datum, Float
from dpm_ppl.networks.base import AbstractNetwork, AbstractOuterNetwork
from dpm_ppl.networks.clean import READOUT, location_of, outputs_of
from dpm_ppl.networks.levels import check_pooled
from dpm_ppl.schedules.steps import Step


class SpikeSlabNetwork(AbstractOuterNetwork):
    """Outputs for the `noise_prediction` readout from a law of x_0: uniform within each of a few levels, else normal.

    **Arguments:**

    - `network`: any network with 3 more outputs than there are `spikes`: log-odds of the spikes and of the normal law,
      by which these differ from `log_prior`; its mean, in deviations from `mean`; and its log-deviation less that.
    - `log_prior`: log-probabilities of the spikes and of the normal law where nothing else is known,
      `(*event_shape, spikes + 1)`; trained too, as are `mean` and `log_deviation`, the normal law's.
    - `spikes`: the levels with a probability of their own; `shift`, `scale`: as in `Units`, level k covers
      (k - shift) / scale to (k + 1 - shift) / scale.

    Coordinate by coordinate the noisy value multiplies this law by the density of each x_0 to give rise to it; the
    outputs are those for the mean and variance that result.
    """

    network: AbstractNetwork
    log_prior: Float[Array, "*event components"]
    mean: Float[Array, ""]
    log_deviation: Float[Array, ""]
    spikes: tuple[int, ...] = eqx.field(static=True)
    shift: float = eqx.field(static=True, converter=float)
    scale: float = eqx.field(static=True, converter=float)
    made_for: ClassVar[str] = READOUT

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        outputs = self.network(x_t, step)
        # Beyond these ratios of signal to noise the answer no longer changes in float32.
        spread = jnp.exp(-0.5 * jnp.clip(step.log_snr, -15.0, 21.0))
        observed = x_t * jnp.exp(-0.5 * jnp.maximum(step.log_alpha_bar, -15.0))
        low = ((np.asarray(self.spikes) - self.shift) / self.scale).astype(x_t.dtype)
        of_spikes = _within_levels(low, 1 / self.scale, observed[..., None], spread)
        of_slab = self._within_slab(outputs[..., -2], outputs[..., -1], observed, spread)
        log_density, means, variances = (
            jnp.concatenate([spike, slab[..., None]], axis=-1) for spike, slab in zip(of_spikes, of_slab, strict=True)
        )
        weight = jax.nn.softmax(jax.nn.log_softmax(self.log_prior + outputs[..., :-2]) + log_density)
        mean = (weight * means).sum(axis=-1)
        variance = (weight * (variances + jnp.square(means - mean[..., None]))).sum(axis=-1)
        return outputs_of(location_of(mean, x_t, step), jnp.maximum(variance, 1e-6 * spread**2), step)

    def _within_slab(self, location: Array, scale: Array, observed: Array, spread: Array) -> tuple[Array, ...]:
        """What `_within_levels` says, of the normal law."""
        mean = self.mean + jnp.exp(self.log_deviation) * location
        variance = jnp.exp(2 * (self.log_deviation + jnp.clip(scale, -7.0, 4.0)))
        total = variance + spread**2
        log_density = -0.5 * (jnp.square(observed - mean) / total + jnp.log(2 * jnp.pi * total))
        return log_density, observed + spread**2 / total * (mean - observed), variance * spread**2 / total


def spike_slab_network(
    network: AbstractNetwork, levels: np.ndarray, spikes: Sequence[int], *, shift: float, scale: float
) -> SpikeSlabNetwork:
    """A `SpikeSlabNetwork` that starts at what training data `levels`, `(datum, *event_shape)`, are like.

    That is the share of each of the `spikes` in each coordinate, where rare ones are not quite excluded, and the mean
    and deviation of all other levels.
    """
    check_pooled(shift, scale)
    spikes = tuple(int(level) for level in spikes)
    counts = np.stack(
        [*((levels == level).sum(axis=0) for level in spikes), (~np.isin(levels, spikes)).sum(axis=0)], -1
    )
    others = (levels[~np.isin(levels, spikes)] + 0.5 - shift) / scale
    mean, deviation = (others.mean(), max(others.std(), 1 / scale)) if others.size else (0.0, 1.0)
    counts = counts + 20 * counts.sum(axis=tuple(range(counts.ndim - 1))) / counts.sum() + 0.05
    log_prior = np.log(counts / counts.sum(axis=-1, keepdims=True))
    log_prior, mean, log_deviation = (jnp.asarray(value, float) for value in (log_prior, mean, np.log(deviation)))
    return SpikeSlabNetwork(network, log_prior, mean, log_deviation, spikes, float(shift), float(scale))


def frequent_levels(levels: np.ndarray, share: float = 0.005) -> tuple[int, ...]:
    """The levels that at least this share of all coordinates have, for `spikes`: 0 and 252 to 255 on MNIST."""
    values, counts = np.unique(levels, return_counts=True)
    return tuple(int(value) for value in values[counts >= share * np.size(levels)])


def _within_levels(low: np.ndarray, width: float, observed: Array, spread: Array) -> tuple[Array, Array, Array]:
    """For x_0 uniform on each level and observed with normal noise: log-density of that, mean and variance of x_0.

    The law of x_0 is a truncated normal one. Where the noise is wider than the level it is close to flat instead, and
    tilted to first order.
    """
    narrow = jnp.minimum(spread, width)
    below = jnp.clip((low - observed) / narrow, -300.0, 300.0)
    above = below + width / narrow
    # Turned so that the nearer end is the upper one, whose tail is what counts.
    turned = below + above > 0
    far, near = jnp.where(turned, -above, below), jnp.where(turned, -below, above)
    log_near = log_ndtr(near)
    log_mass = log_near + jnp.log1p(-jnp.exp(jnp.minimum(log_ndtr(far) - log_near, -1e-3)))
    # A level so far away that these would overflow has no weight.
    at_far, at_near = (jnp.exp(jnp.minimum(_log_normal(end) - log_mass, 6.0)) for end in (far, near))
    offset = jnp.clip(at_far - at_near, far, near)
    truncated = 1 + jnp.clip(far, -30.0, 30.0) * at_far - jnp.clip(near, -30.0, 30.0) * at_near - offset**2
    mean = observed + narrow * jnp.where(turned, -offset, offset)

    from_middle = (observed - low - width / 2) / spread
    flat = width**2 / 12
    tilted = low + width / 2 + jnp.clip(flat / spread * from_middle, -width / 2, width / 2)
    wide = spread > width
    return (
        jnp.where(wide, _log_normal(from_middle) - jnp.log(spread), log_mass - np.log(width)),
        jnp.where(wide, tilted, mean),
        jnp.where(wide, flat, narrow**2 * jnp.clip(truncated, 1e-3, 1.0)),
    )


def _log_normal(value: Array) -> Array:
    return -0.5 * (jnp.square(value) + np.log(2 * np.pi))
