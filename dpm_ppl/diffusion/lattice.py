"""Quasi-random numbers: evenly spread over the unit cube, for averages over many steps with less noise."""

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt32

from dpm_ppl._common.types import Array, Int, PRNGKey, Uniforms


class Lattice(eqx.Module):
    """Points u_0, u_1, ... of a unit cube: a random shift plus n times the roots of the primes, modulo 1.

    Each is uniform, and any n in a row lie far more evenly than independent ones (Richtmyer 1951; the shift is that of
    Cranley and Patterson 1976). So the mean of a function that changes slowly from one point to the next has an error
    of about 1 / n, where with independent points it has one of 1 / sqrt(n); it is unbiased all the same.
    """

    shift: UInt32[Array, "*shape"]
    pace: UInt32[Array, "*event"]

    def __init__(self, key: PRNGKey, shape: tuple[int, ...], event_dim: int):
        """Cubes of the last `event_dim` axes of `shape`, each with a shift of its own."""
        event_shape = shape[len(shape) - event_dim :]
        self.shift = jax.random.bits(key, shape, jnp.uint32)
        self.pace = jnp.asarray(_root_fractions(int(np.prod(event_shape))).reshape(event_shape))

    def __call__(self, index: Int[Array, ""]) -> Uniforms:
        """The point u_index of every cube, in the shape that was asked for."""
        return _in_unit_interval(self.shift + self.pace * index.astype(jnp.uint32))


def uniforms(key: PRNGKey, shape: tuple[int, ...]) -> Uniforms:
    """Independent uniform numbers, strictly between 0 and 1."""
    return _in_unit_interval(jax.random.bits(key, shape, jnp.uint32))


def _in_unit_interval(bits: UInt32[Array, "*shape"]) -> Uniforms:
    """As many leading bits as a float can hold with half of the next one: symmetric around 1/2, and never 0 or 1."""
    dtype = jnp.result_type(float)
    dropped = max(32 - jnp.finfo(dtype).nmant, 0)
    return ((bits >> dropped).astype(dtype) + 0.5) * 2.0 ** (dropped - 32)


@lru_cache
def _root_fractions(num: int) -> np.ndarray:
    """The fractional parts of the square roots of the first `num` primes, in units of 2^-32."""
    limit = max(16, int(1.3 * (num + 1) * np.log(num + 2)))
    prime = np.ones(limit, bool)
    prime[:2] = False
    for divisor in range(2, int(limit**0.5) + 1):
        prime[divisor * divisor :: divisor] &= not prime[divisor]
    primes = np.flatnonzero(prime)[:num].astype(np.float64)
    return (np.sqrt(primes) % 1 * 2.0**32).astype(np.uint32)
