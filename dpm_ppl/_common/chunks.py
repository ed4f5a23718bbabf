"""Work on many data in chunks of few sizes: memory is bounded, and other numbers of data compile nothing anew.

Every datum has its number, and with it a key of its own (`keys_of`): what is computed for it depends neither on the
chunk it is in nor on what fills that up.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.types import Array, PRNGKey

BUDGET = 2**26
"""Bytes that one chunk may take for what is computed on the way to its results."""
_WATCH: ContextVar[Callable[[int], None]] = ContextVar("watch", default=lambda done: None)


def keys_of(key: PRNGKey, number: Array) -> Array:
    """The key of each datum with these numbers, `(datum,)`."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, number)


def chunk_size(num: int, most: int | None) -> int:
    """A power of two with room for `num` data, but at most `most` (None: without limit)."""
    enough = 1 << (num - 1).bit_length()
    return enough if most is None else min(enough, most)


def affordable(compute: Callable[..., Any], *one: Any) -> int:
    """How many calls of `compute` side by side stay within the budget: a power of two.

    Counted is everything that one call computes from `one`, as if nothing were freed before the end. What has been
    counted for arguments of the same shapes is not counted again.
    """
    leaves, treedef = jax.tree.flatten(one)
    shapes = (jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if eqx.is_array(leaf) else leaf for leaf in leaves)
    return _affordable(compute, treedef, *shapes)


@lru_cache(maxsize=64)
def _affordable(compute: Callable[..., Any], treedef: Any, *shapes: Any) -> int:
    computed = eqx.filter_make_jaxpr(compute)(*jax.tree.unflatten(treedef, shapes))[0]
    return 1 << max(BUDGET // max(_bytes_in(computed.jaxpr), 1), 1).bit_length() - 1


@contextlib.contextmanager
def watched(show: Callable[[int], None]) -> Iterator[None]:
    """Within it, `in_chunks` tells `show` after each chunk how many data are done."""
    before = _WATCH.set(show)
    try:
        yield
    finally:
        _WATCH.reset(before)


def in_chunks(compute: Callable[..., Any], size: int, num: int, *data: Array | np.ndarray, traced: Any = ()) -> Any:
    """`compute(number, *data)` for the numbers 0, 1 ... `num` - 1, `size` of them at a time; results `(num, ...)`.

    The last chunk is filled up with the last datum, whose results are dropped. Where the data, or something in
    `traced` that `compute` uses, are known only to JAX's tracing, it is called once for all: it bounds its own memory.
    """
    if is_traced(data, traced):
        return compute(jnp.arange(num), *data)
    data = tuple(map(np.asarray, data))
    joined: Any = None
    show = _WATCH.get()
    for start in range(0, num, size):
        stop = min(start + size, num)
        index = np.minimum(np.arange(start, start + size), num - 1)
        part = compute(jnp.asarray(index, dtype=np.int32), *(jnp.asarray(values[index]) for values in data))
        if joined is None:
            joined = jax.tree.map(lambda leaf: np.empty((num, *leaf.shape[1:]), leaf.dtype), part)
        for whole, leaf in zip(jax.tree.leaves(joined), jax.tree.leaves(part), strict=True):
            whole[start:stop] = np.asarray(leaf)[: stop - start]
        show(stop)
    return jax.device_put(joined)


def _bytes_in(jaxpr: Any) -> int:
    """Of all arrays that are computed, one turn of a loop for all of them."""
    own = sum(var.aval.size * var.aval.dtype.itemsize for eqn in jaxpr.eqns for var in eqn.outvars)
    return own + sum(_bytes_in(inner) for eqn in jaxpr.eqns for inner in core.jaxprs_in_params(eqn.params))
