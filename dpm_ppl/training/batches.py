"""The batches of a fit: which data every update sees, on the device or read from the host."""

import hashlib
import inspect
import weakref
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from dpm_ppl._common.checks import as_jax_holds, check_finite, real_array
from dpm_ppl._common.errors import InputError
from dpm_ppl.training.devices import on_every_device, on_one_device

_MAX_UPDATES_PER_CHUNK = 1000
_MAX_CHUNK_BYTES = 16 * 2**20
_CHUNK_SECONDS, _MOST_CHUNK_SECONDS = 0.5, 5.0
_FEWEST_PER_CHUNK = 16
"""A call costs as much as half an update, as its memory is new each time: so many updates make that little."""
_DIGESTED_ROWS, _DIGESTED_BYTES = 2**14, 2**26


@runtime_checkable
class Data(Protocol):
    """What `fit` asks of a data set; a plain array (N, *event) has it too.

    `values` (N, *event) is read only where `resident`: it is then kept on the device. Otherwise `rows` gathers on the
    host, for instance from a `numpy.memmap`. `draw` makes the batch x_0 out of raw rows, for instance by adding
    dequantisation noise; it runs on the device inside the compiled loop.
    """

    num_points: int
    resident: bool
    values: Any

    def rows(self, indices: np.ndarray) -> np.ndarray: ...

    def draw(self, rows: jax.Array, key: jax.Array) -> jax.Array: ...


def as_data(dataset: Any) -> "Data":
    """The data set itself where it is one; anything that is an array, a table among them, as `ArrayData`."""
    return dataset if hasattr(dataset, "draw") and not hasattr(dataset, "__array__") else ArrayData(dataset)


class ArrayData:
    """A plain array (N, *event) seen as `Data`."""

    resident = True

    def __init__(self, values: Any):
        self.values = as_jax_holds(values, "dataset")
        if self.values.ndim == 0:
            raise InputError("dataset", expected="an array (N, *event)", got="a scalar", remedy="add the data axis")
        self.num_points = self.values.shape[0]

    def rows(self, indices: np.ndarray) -> np.ndarray:
        return np.asarray(self.values)[indices]

    @staticmethod
    def draw(rows: jax.Array, key: jax.Array) -> jax.Array:
        return rows


def draw_of(data: Data) -> Partial:
    """`data.draw` for a compiled program, which other data sets may share and which does not keep this one in memory.

    Its arrays are arguments where it is a pytree, as that of `Dataset` is.
    """
    draw = data.draw
    return draw if isinstance(draw, Partial) else Partial(_Weakly(draw) if inspect.ismethod(draw) else draw)


class _Weakly:
    """A method, by a reference that does not keep its object alive."""

    def __init__(self, method: Callable[..., Any]):
        self.reference = weakref.WeakMethod(method)

    def __call__(self, *args: Any) -> Any:
        method = self.reference()
        assert method is not None, "called after the object was gone"
        return method(*args)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Weakly) and self.reference == other.reference

    def __hash__(self) -> int:
        return hash(self.reference)


class Batches:
    """The raw rows of every update: a pure function of the data, the batch size, the key and the update's number."""

    def __init__(self, data: Data, batch_size: int, data_key: jax.Array, updates_per_chunk: int | None):
        self.data, self.batch_size = data, batch_size
        seed = np.asarray(jax.random.key_data(data_key)).ravel().tolist()
        self._order = lru_cache(maxsize=2)(partial(_epoch_order, seed, data.num_points))
        self._values = on_every_device(jnp.asarray(data.values)) if data.resident else None
        self._length, self._max_length = 1, 1
        self.first = on_one_device(self._gather(0, 1)[0])
        fitting = max(1, min(_MAX_UPDATES_PER_CHUNK, _MAX_CHUNK_BYTES // max(1, self.first.nbytes)))
        self._max_length = fitting if updates_per_chunk is None else updates_per_chunk

    def chunks(self, done: int, end: int, *every: int | None) -> Iterator[tuple[jax.Array, np.int32]]:
        """Rows `(max_length, batch_size, *event)` up to `end`, and how many to use; none pass a multiple of `every`."""
        while done < end:
            length = min(self._length, end - done, *(period - done % period for period in every if period))
            yield self._gather(done, length), np.int32(length)
            done += length

    def adapt(self, seconds: float, length: int) -> None:
        """The chunks to come, after one of `length` updates: about half a second each, or longer but few updates."""
        per_update = max(seconds, 1e-6) / length
        wanted = min(max(_CHUNK_SECONDS / per_update, _FEWEST_PER_CHUNK), _MOST_CHUNK_SECONDS / per_update)
        self._length = max(1, min(int(wanted), 2 * self._length, self._max_length))

    def _gather(self, first: int, length: int) -> jax.Array:
        indices = self._indices(first * self.batch_size, length * self.batch_size)
        shape = (self._max_length, self.batch_size)
        if self._values is not None:
            padded = np.zeros(shape, indices.dtype)
            padded[:length] = indices.reshape(length, self.batch_size)
            return _take(self._values, padded)
        rows = self.data.rows(indices)
        chunk = np.zeros((*shape, *rows.shape[1:]), rows.dtype)
        chunk[:length] = rows.reshape(length, self.batch_size, *rows.shape[1:])
        return on_every_device(jnp.asarray(chunk))

    def _indices(self, start: int, count: int) -> np.ndarray:
        """Places `start` to `start + count` of the shuffled epochs, laid end to end."""
        num_points = self.data.num_points
        epochs = range(start // num_points, (start + count - 1) // num_points + 1)
        skip = start - epochs[0] * num_points
        return np.concatenate([self._order(epoch) for epoch in epochs])[skip : skip + count]


def _epoch_order(seed: list[int], num_points: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([*seed, epoch]).permutation(num_points).astype(np.int32)


@jax.jit
def _take(values: jax.Array, indices: jax.Array) -> jax.Array:
    return values.at[indices].get(mode="promise_in_bounds")


def digest(data: Data) -> str:
    """What tells data from other data: their shape, and rows spread evenly over them, or all rows where they are few.

    A `source`, the data as they were given, goes before `rows` made of it, whose last bits another machine may round
    otherwise.
    """
    source = getattr(data, "source", None)

    def rows(places: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(data.rows(places) if source is None else source[places])

    most = max(1, min(_DIGESTED_ROWS, _DIGESTED_BYTES // max(1, rows(np.arange(1)).nbytes)))
    digested = rows(np.unique(np.linspace(0, data.num_points - 1, most).astype(int)))
    found = hashlib.sha256(f"{data.num_points} {digested.shape} {digested.dtype}".encode())
    found.update(digested.data)
    return found.hexdigest()[:16]


def check_data(data: Data) -> None:
    """Raise `InputError` where there are none."""
    if data.num_points < 1:
        raise InputError("dataset", expected="at least one datum", got="none", remedy="check how the data were loaded")
    if not data.resident:
        return
    check_finite(real_array(data.values, "dataset"), "dataset")
