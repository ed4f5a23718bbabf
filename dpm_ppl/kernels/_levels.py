"""`LevelLaw`, the law of a level, some of which may be impossible."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dpm_ppl._common.numpyro_seam import CategoricalLogits
from dpm_ppl._common.types import Array, PRNGKey, Uniforms, Values


class LevelLaw(CategoricalLogits):
    """NumPyro's `CategoricalLogits` for numbers: they have a mean, and come as floats too, with NaN for NaN.

    `logits` are normalised; -inf is that of an impossible level, also in `entropy`.
    """

    def __init__(self, log_weights: Array):
        # Unchecked, because a level that is known for certain (the bridge at t = 1) has infinite log-odds.
        CategoricalLogits.__init__(self, jax.nn.log_softmax(log_weights), validate_args=False)

    def log_prob(self, value: ArrayLike, intermediates=None) -> Array:
        known, index = index_of(value)
        shape = jnp.broadcast_shapes(index.shape, self.batch_shape)
        logits = self.logits.reshape(*[1] * (len(shape) - len(self.batch_shape)), *self.logits.shape)
        index = index.reshape(*[1] * (len(shape) - index.ndim), *index.shape)
        return jnp.where(known, jnp.take_along_axis(logits, index[..., None], axis=-1)[..., 0], jnp.nan)

    @property
    def mean(self) -> Array:
        return self.probs @ self._levels

    @property
    def variance(self) -> Array:
        return (self.probs * (self._levels - self.mean[..., None]) ** 2).sum(axis=-1)

    def entropy(self) -> Array:
        return -jnp.where(self.probs > 0, self.probs * self.logits, 0.0).sum(axis=-1)

    def sample(self, key: PRNGKey | None, sample_shape: tuple[int, ...] = ()) -> Array:
        """From one number each, in place of one for each level; two levels are drawn as NumPyro draws bits."""
        assert key is not None
        return self.icdf(1 - jax.random.uniform(key, (*sample_shape, *self.batch_shape), self.logits.dtype))

    def icdf(self, q: Uniforms) -> Values:
        """The level below which the law has the share q: a possible one, whatever is rounded."""
        possible, share_below = self.probs > 0, jnp.cumsum(self.probs[..., :-1], axis=-1)
        reached = possible[..., 1:] & (q[..., None] > share_below)
        levels = jnp.arange(1, self.logits.shape[-1], dtype=jnp.int32)
        return jnp.maximum(possible.argmax(axis=-1).astype(jnp.int32), jnp.where(reached, levels, 0).max(axis=-1))

    @property
    def _levels(self) -> Array:
        return jnp.arange(self.logits.shape[-1], dtype=self.logits.dtype)


def padded(values: Array, num_states: int) -> Array:
    """Numbers for the levels as those for all states, with 0 for what is no level, a mask."""
    others = num_states - values.shape[-1]
    return jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, others)])


def index_of(x: ArrayLike) -> tuple[Array, Array]:
    """Which values are known, and all as whole numbers, 0 where they are NaN."""
    known = ~jnp.isnan(x)
    return known, jnp.where(known, x, 0).astype(jnp.int32)
