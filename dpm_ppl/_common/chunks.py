"""Work on many data in chunks of few sizes: memory is bounded, and other numbers of data compile nothing anew.

Every datum has its number, and with it a key of its own (`keys_of`): what is computed for it depends neither on the
chunk it is in nor on what fills that up.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.memory import peak_bytes, sizes_within_budget
from dpm_ppl._common.types import Array, PRNGKey

MOST_DATA, MOST_STEPS = 64, 100
"""Of a bound, evaluated side by side where nobody says how many; more make nothing faster."""
_WATCH: ContextVar[Callable[[int], None]] = ContextVar("watch", default=lambda done: None)


def keys_of(key: PRNGKey, number: Array) -> Array:
    """The key of each datum with these numbers, `(datum,)`."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, number)


def chunk_size(num: int, most: int | None) -> int:
    """A power of two with room for `num` data, but at most `most` (None: without limit)."""
    enough = 1 << (num - 1).bit_length()
    return enough if most is None else min(enough, most)


def chunk_like(size: int, *data: Array | np.ndarray) -> tuple[Any, ...]:
    """Shapes and dtypes of what `in_chunks` gives to `compute`: the numbers of `size` data, and the data."""
    shapes = (jax.ShapeDtypeStruct((size, *values.shape[1:]), values.dtype) for values in data)
    return jax.ShapeDtypeStruct((size,), np.int32), *shapes


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

    Where this process has several devices that divide a chunk evenly, its data are shared out between them.
    The last chunk is filled up with the last datum, whose results are dropped. Where the data, or something in
    `traced` that `compute` uses, are known only to JAX's tracing, it is called once for all: it bounds its own memory.
    """
    if is_traced(data, traced):
        return compute(jnp.arange(num), *data)
    arrays = [np.asarray(values) for values in data]
    joined: Any = None
    show = _WATCH.get()
    for start in range(0, num, size):
        stop = min(start + size, num)
        index = np.minimum(np.arange(start, start + size), num - 1)
        part = compute(*map(_shared_out, [index.astype(np.int32), *(values[index] for values in arrays)]))
        if joined is None:
            joined = jax.tree.map(lambda leaf: np.empty((num, *leaf.shape[1:]), leaf.dtype), part)
        for whole, leaf in zip(jax.tree.leaves(joined), jax.tree.leaves(part), strict=True):
            whole[start:stop] = np.asarray(leaf)[: stop - start]
        show(stop)
    return jax.device_put(joined)


def over_data(
    compute: Callable[..., Any], subject: Any, x_0: Array | np.ndarray, key: PRNGKey, *rest: Any, data_chunk: int | None
) -> Any:
    """`compute(subject, x_0, number, key, size, *rest)`, compiled, of all data in chunks of `size`.

    That is `data_chunk` if given, else at most `MOST_DATA`, and fewer where the memory budget says so.
    """

    def bytes_of(data_chunk: int) -> int:
        size = chunk_size(len(x_0), data_chunk)
        number, data = chunk_like(size, x_0)
        return peak_bytes(compute, subject, data, number, key, size, *rest)

    size = chunk_size(len(x_0), *sizes_within_budget(bytes_of, (data_chunk, MOST_DATA)))

    def of_chunk(number: Array, x_0: Array) -> Any:
        return compute(subject, x_0, number, key, size, *rest)

    return in_chunks(of_chunk, size, len(x_0), x_0, traced=(subject, key))


def _shared_out(values: np.ndarray) -> Array:
    devices = jax.local_devices()
    if len(devices) == 1 or len(values) % len(devices):
        return jnp.asarray(values)
    mesh = Mesh(np.array(devices), ("datum",), axis_types=(AxisType.Auto,))
    return jax.device_put(values, NamedSharding(mesh, PartitionSpec("datum")))
