"""The normal law of one step, held in units of that step, where float32 still sees it."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from numpyro.distributions.kl import kl_divergence

from dpm_ppl._common.numpyro_seam import Normal
from dpm_ppl._common.types import Array, PRNGKey, Uniforms, Values


class NormalStep(Normal):
    """start + unit * (displacement + exp(log_ratio / 2) * noise), with noise from N(0, 1).

    A step of a long chain is far smaller than the value it starts from: with a deviation of 1e-5 from a value near 3,
    float32 rounds the mean to a fortieth of a deviation. So the mean is never formed to be compared: `log_prob` takes
    `start` from the value first, and the divergence of two steps with one start and one unit, such as the bridge and
    the reverse law of x_{t-1} given x_t, sees their displacements alone.
    """

    pytree_data_fields = ("start", "log_unit", "displacement", "log_ratio")

    def __init__(self, start: Values, log_unit: Array, displacement: Array, log_ratio: Array | float = 0.0):
        parts = (jnp.asarray(start, displacement.dtype), log_unit, displacement, log_ratio)
        self.start, self.log_unit, self.displacement, self.log_ratio = jnp.broadcast_arrays(*parts)
        mean = self.start + jnp.exp(self.log_unit) * self.displacement
        # Unchecked, because a point that is known for certain (the bridge at t = 1) has no spread.
        Normal.__init__(self, mean, jnp.exp(self.log_unit + 0.5 * self.log_ratio), validate_args=False)

    def noise_at(self, uniform: Uniforms) -> Array:
        """The noise that stands at these shares of its law."""
        return math.sqrt(2) * jax.scipy.special.erfinv(2 * uniform - 1)

    def at(self, noise: Array) -> Array:
        """The value that has this noise, rounded."""
        return self.start + jnp.exp(self.log_unit) * (self.displacement + jnp.exp(0.5 * self.log_ratio) * noise)

    def noise_of(self, value: ArrayLike) -> Array:
        """The noise of a value."""
        return (_in_units(value - self.start, self.log_unit) - self.displacement) * jnp.exp(-0.5 * self.log_ratio)

    def sample(self, key: PRNGKey | None, sample_shape: tuple[int, ...] = ()) -> Array:
        assert key is not None
        return self.at(jax.random.normal(key, sample_shape + self.batch_shape))

    def log_prob(self, value: ArrayLike) -> Array:
        return -0.5 * (self.noise_of(value) ** 2 + self.log_ratio + jnp.log(2 * jnp.pi)) - self.log_unit

    def entropy(self) -> Array:
        return 0.5 * (1 + jnp.log(2 * jnp.pi) + self.log_ratio) + self.log_unit


def _in_units(difference: Any, log_unit: Array) -> Array:
    # A unit whose square underflows is one that no difference between two numbers resolves: 0 must not become NaN.
    return difference * jnp.exp(-jnp.maximum(log_unit, 0.5 * jnp.log(jnp.finfo(log_unit.dtype).tiny)))


@kl_divergence.register(NormalStep, NormalStep)
def _(p: NormalStep, q: NormalStep) -> Array:
    # What the two share cancels here exactly: with the same start and the same unit both differences are 0.
    log_units = p.log_unit - q.log_unit
    apart = _in_units(p.start - q.start, q.log_unit) + p.displacement * jnp.exp(log_units) - q.displacement
    return _divergence(apart * jnp.exp(-0.5 * q.log_ratio), p.log_ratio - q.log_ratio + 2 * log_units)


@kl_divergence.register(NormalStep, Normal)
def _(p: NormalStep, q: Normal) -> Array:
    return _divergence((p.loc - q.loc) / q.scale, p.log_ratio + 2 * (p.log_unit - jnp.log(q.scale)))


def _divergence(apart: Array, log_variances: Array) -> Array:
    """From the distance of the means in deviations of the second law, and the log-ratio of the variances."""
    return 0.5 * (apart**2 + jnp.expm1(log_variances) - log_variances)
