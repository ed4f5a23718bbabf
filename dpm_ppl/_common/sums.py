"""Sums that lose no digits in float32, places in their course, and maps along steps that bound the memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Array, Float


def accurate_sum(terms: Array, axis: int = 0) -> Array:
    """Sum along `axis` by halves, carrying each addition's rounding error.

    In float32 its error does not grow with the number of terms, which plain sums over thousands of steps cannot say.
    """
    high = jnp.moveaxis(terms, axis, 0)
    low = jnp.zeros_like(high)
    while len(high) > 1:
        if len(high) % 2:
            pad = [(0, 1)] + [(0, 0)] * (high.ndim - 1)
            high, low = jnp.pad(high, pad), jnp.pad(low, pad)
        high, error = _two_sum(*jnp.split(high, 2))
        low = sum(jnp.split(low, 2)) + jax.lax.stop_gradient(error)
    low = jnp.where(jnp.isfinite(high), low, 0.0)  # an infinite sum has no rounding error, and stays infinite
    return (high + low)[0] if len(high) else jnp.zeros(high.shape[1:], high.dtype)


def add_exactly(high: Array, low: Array, term: Array) -> tuple[Array, Array]:
    """The running sum `high + low` and one more term; `low` carries what additions to `high` have rounded away."""
    total, error = _two_sum(high, term)
    return total, jnp.where(jnp.isfinite(total), low + error, 0.0)


def place_at(weights: Float[Array, " place"], positions: Array) -> Array:
    """The places at `positions` in [0, 1), where each takes as much room as its weight: none without a weight."""
    # Sums taken in parallel differ by rounding even across weights of zero, and may decrease: the maximum so far over
    # positive weights does neither. Divided by itself it may be a little below 1, as XLA divides, and so may end before
    # the last position: that one belongs to the last place that has a weight.
    ends = jax.lax.cummax(jnp.where(weights > 0, jnp.cumsum(weights), 0.0))
    last = jnp.searchsorted(ends, ends[-1])
    return jnp.minimum(jnp.searchsorted(ends / ends[-1], positions, side="right"), last)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as rounded, and the rounding error (Knuth)."""
    total = a + b
    rounded = total - a
    return total, (a - (total - rounded)) + (b - rounded)


def map_chunks[X, Y](function: Callable[[X], Y], inputs: X, chunk_size: int | None) -> Y:
    """`function` over the leading axis of `inputs`, `chunk_size` elements side by side (all of them for None).

    What happens inside is recomputed for the gradient, so memory is bounded by one chunk.
    """
    length = len(jax.tree.leaves(inputs)[0])
    return jax.lax.map(jax.checkpoint(function), inputs, batch_size=min(chunk_size or length, length) or None)
