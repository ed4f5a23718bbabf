"""`LevelNetwork`, for data with levels: it predicts the level of each coordinate, and the outputs follow from that.

Dequantised data are uniform within the interval of their level. A network that must draw these boxes by itself spends
most of its capacity on their edges; given the level they are known, so the network is left with what a classifier of
levels would have to say. (The idea of predicting x_0 through its levels is in Ho et al. 2020, section 3.3, for the last
step alone; Austin et al. 2021 use it for all steps of discrete diffusions.)
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Datum, Float
from dpm_ppl.networks.base import AbstractNetwork, AbstractOuterNetwork
from dpm_ppl.networks.clean import READOUT, location_of, outputs_of
from dpm_ppl.schedules.steps import Step


class LevelNetwork(AbstractOuterNetwork):
    """Outputs for the `noise_prediction` readout from log-odds of the levels of x_0.

    **Arguments:**

    - `network`: any network with `num_outputs` equal to the number of levels K; zero outputs mean `log_prior`.
    - `log_prior`: log-probabilities of the levels where nothing else is known, `(*event_shape, K)`; trained too.
    - `shift`, `scale`: as in `Units`: level k covers (k - shift) / scale to (k + 1 - shift) / scale.

    Coordinate by coordinate the noisy value multiplies these probabilities by the chance of each level to give rise to
    it; the mean and variance of x_0 given x_t are those of the mixture of truncated normal laws that results.
    """

    network: AbstractNetwork
    log_prior: Float[Array, "*event levels"]
    shift: float = eqx.field(static=True, converter=float)
    scale: float = eqx.field(static=True, converter=float)
    made_for: ClassVar[str] = READOUT

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        log_prior = jax.nn.log_softmax(self.log_prior + self.network(x_t, step))
        mean, variance = self._clean_moments(log_prior, x_t, step)
        return outputs_of(location_of(mean, x_t, step), variance, step)

    def _clean_moments(self, log_prior: Array, x_t: Array, step: Step) -> tuple[Array, Array]:
        """Mean and variance of x_0 given x_t and the log-probabilities of its level."""
        edges = ((np.arange(log_prior.shape[-1] + 1) - self.shift) / self.scale).astype(x_t.dtype)
        # Beyond these ratios of signal to noise the answer no longer changes in float32.
        spread = jnp.exp(-0.5 * jnp.clip(step.log_snr, -15.0, 15.0))
        observed = x_t * jnp.exp(-0.5 * jnp.maximum(step.log_alpha_bar, -15.0))
        observed = jnp.clip(observed, edges[0] - 5 * spread, edges[-1] + 5 * spread)
        log_chance, first, second = _level_moments(edges, observed[..., None], spread)
        weight = jax.nn.softmax(log_prior + log_chance)
        mean = (weight * first).sum(-1)
        variance = (weight * second).sum(-1) - mean**2
        return observed + spread * mean, spread**2 * jnp.maximum(variance, 1e-6)


def level_network(
    network: AbstractNetwork, levels: np.ndarray, num_levels: int, *, shift: float, scale: float
) -> LevelNetwork:
    """A `LevelNetwork` whose prior is the share of each level in training data `levels`, `(datum, *event_shape)`."""
    check_pooled(shift, scale)
    log_prior = np.log(shares_of_levels(levels, num_levels))
    return LevelNetwork(network, jnp.asarray(log_prior, dtype=float), float(shift), float(scale))


def check_pooled(shift: float, scale: float) -> None:
    """Raise `InputError` where coordinates have shifts or scales of their own, and levels no common width."""
    if np.ndim(shift) or np.ndim(scale):
        raise InputError(
            "scale", expected="one shift and scale for all coordinates", got="one for each", remedy="pool them"
        )


def shares_of_levels(levels: np.ndarray, num_levels: int) -> np.ndarray:
    """The share of each level among data, `(*event_shape, K)`; that of one that none has is small, but not 0."""
    counts = np.stack([(levels == level).sum(axis=0) for level in range(num_levels)], axis=-1) + 0.05
    return counts / counts.sum(axis=-1, keepdims=True)


def _level_moments(edges: np.ndarray, observed: Array, spread: Array) -> tuple[Array, Array, Array]:
    """For N(observed, spread^2) cut down to each level: log-mass, and the first two moments of (x - observed) / spread.

    Where the noise is wider than a level the masses of far tails would cancel, and the law within a level is close to
    flat: its moments are those of the flat law, tilted to first order.
    """
    width, middle = edges[1] - edges[0], (edges[1:] + edges[:-1]) / 2
    narrow = jnp.minimum(spread, width)
    bound = (edges - jnp.clip(observed, edges[0] - 5 * narrow, edges[-1] + 5 * narrow)) / narrow
    tail = 0.5 * jax.scipy.special.erfc(jnp.abs(bound) * np.sqrt(0.5))
    low, high = bound[..., :-1], bound[..., 1:]
    tail_low, tail_high = tail[..., :-1], tail[..., 1:]
    one_sided = jnp.where(low > 0, tail_low - tail_high, tail_high - tail_low)
    mass = jnp.maximum(jnp.where((low <= 0) & (high >= 0), 1 - tail_low - tail_high, one_sided), 1e-12)
    density = jnp.exp(-0.5 * jnp.minimum(bound**2, 60.0)) / np.sqrt(2 * np.pi)
    slope = jnp.clip(bound, -8.0, 8.0) * density
    offset = (middle - observed) / spread
    flat = (width / spread) ** 2 / 12
    wide = spread > width
    return (
        jnp.where(wide, -0.5 * offset**2, jnp.log(mass)),
        jnp.where(wide, offset * (1 - flat), (density[..., :-1] - density[..., 1:]) / mass),
        jnp.where(wide, offset**2 * (1 - flat) ** 2 + flat, 1 + (slope[..., :-1] - slope[..., 1:]) / mass),
    )
