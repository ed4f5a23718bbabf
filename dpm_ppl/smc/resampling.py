"""Resampling: which particles live on, and how often (Douc and Cappé 2005, "Comparison of resampling schemes").

Every function takes a key and log-weights `(particle,)`, normalised or not, of which at least one is finite, and
returns the ancestors `(particle,)`. Particle i is chosen N w_i times on average, for normalised weights w, and never
where its log-weight is -inf. They differ in the variance around that average.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dpm_ppl._common.sums import place_at
from dpm_ppl._common.types import Array, Float, Int, PRNGKey

LogWeights = Float[Array, " particle"]
Ancestors = Int[Array, " particle"]
Resample = Callable[[PRNGKey, LogWeights], Ancestors]


def multinomial(key: PRNGKey, log_weights: LogWeights) -> Ancestors:
    """Every ancestor is drawn by itself."""
    return place_at(_relative(log_weights), _uniform(key, log_weights))


def stratified(key: PRNGKey, log_weights: LogWeights) -> Ancestors:
    """One draw from each of N strata of equal probability (Kitagawa 1996)."""
    return place_at(_relative(log_weights), _one_per_stratum(_uniform(key, log_weights)))


def systematic(key: PRNGKey, log_weights: LogWeights) -> Ancestors:
    """The same place in every stratum: i is chosen N w_i times rounded up or down (Carpenter et al. 1999)."""
    place = jnp.broadcast_to(jax.random.uniform(key, (), log_weights.dtype), log_weights.shape)
    return place_at(_relative(log_weights), _one_per_stratum(place))


def residual(key: PRNGKey, log_weights: LogWeights) -> Ancestors:
    """N w_i rounded down for certain, and the rest drawn in proportion to what that leaves (Liu and Chen 1998)."""
    weights = _relative(log_weights)
    expected = weights * (len(weights) / weights.sum())  # in this order exactly 1 where all weights are equal
    certain = jnp.floor(expected)
    left = expected - certain
    left = jnp.where((left > 0).any(), left, weights)  # draws that nobody looks at, but no division by zero
    index = jnp.arange(len(weights))
    first = jnp.repeat(index, certain.astype(int), total_repeat_length=len(weights))
    return jnp.where(index < certain.sum(), first, place_at(left, _uniform(key, log_weights)))


def _relative(log_weights: LogWeights) -> LogWeights:
    return jnp.exp(log_weights - log_weights.max())


def _uniform(key: PRNGKey, log_weights: LogWeights) -> LogWeights:
    return jax.random.uniform(key, log_weights.shape, log_weights.dtype)


def _one_per_stratum(place: LogWeights) -> LogWeights:
    """A position in [0, 1) for each stratum, from the `place` within it."""
    positions = (jnp.arange(len(place)) + place) / len(place)
    return jnp.minimum(positions, 1 - jnp.finfo(place.dtype).epsneg)  # the last one may have been rounded up to 1
