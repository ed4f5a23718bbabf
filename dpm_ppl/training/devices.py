"""A fit on several devices: the data of every batch are shared out between them, and each has all else.

There is nothing to switch on: it is done where JAX sees several devices, on this machine or on several of them that
`jax.distributed.initialize` has joined. On one device all of this does nothing.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_EVERYWHERE, _BY_DATUM = PartitionSpec(), PartitionSpec("datum")


def is_first_process() -> bool:
    """Whether this is the process, of all that work together, which writes files and decides when to stop."""
    return jax.process_index() == 0


def agreed(value: float) -> float:
    """The number that the first process has, in all of them: what a clock or a signal says must not differ."""
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.broadcast_one_to_all(np.asarray(value, np.float32)))


def on_every_device(tree: Any) -> Any:
    """Concrete arrays, the same in every process, as arrays of which each device of all processes has its copy."""
    return tree if len(jax.devices()) == 1 else jax.tree.map(_copied, tree)


def on_one_device(tree: Any) -> Any:
    """Arrays of which each device has its copy as arrays of this process alone."""
    return tree if len(jax.devices()) == 1 else jax.tree.map(lambda leaf: _of_numbers(jnp.asarray, leaf), tree)


def shared_out(batch: Any) -> Any:
    """A traced batch whose data are shared out between all devices, as far as they divide it evenly."""
    return _constrained(batch, len(jax.devices()), _BY_DATUM)


def kept_whole(tree: Any) -> Any:
    """Traced arrays of which each device has its copy."""
    return _constrained(tree, 1, _EVERYWHERE)


def _constrained(tree: Any, divisor: int, spec: PartitionSpec) -> Any:
    if len(jax.devices()) == 1:
        return tree
    sharding = NamedSharding(_mesh(), spec)

    def constrain(leaf: jax.Array) -> jax.Array:
        if divisor > 1 and (leaf.ndim == 0 or leaf.shape[0] % divisor):
            return leaf
        return jax.lax.with_sharding_constraint(leaf, sharding)

    return jax.tree.map(constrain, tree)


def _copied(leaf: Any) -> jax.Array:
    sharding = NamedSharding(_mesh(), _EVERYWHERE)

    def copied(numbers: np.ndarray) -> jax.Array:
        numbers = numbers.astype(jax.dtypes.canonicalize_dtype(numbers.dtype))
        return jax.make_array_from_callback(numbers.shape, sharding, lambda index: numbers[index])

    return _of_numbers(copied, leaf)


def _of_numbers(make: Any, leaf: Any) -> jax.Array:
    """What `make` gives of the leaf as a NumPy array, where it is a random key of the numbers behind it."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(make(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf))
    return make(np.asarray(leaf))


@cache
def _mesh() -> Mesh:
    return Mesh(np.array(jax.devices()), ("datum",), axis_types=(AxisType.Auto,))
