"""Arrays that may be too large for memory: some of their rows, and passes over all of them.

What has been read from a memory map would count as memory in use until the map is closed; here it is let go at once.
"""

import math
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dpm_ppl._common.errors import InputError

CHUNK_SIZE = 2**22
"""Numbers held in float64 at a time."""
RESIDENT_BYTES = 2**28
"""Memory maps that take more than this in float32 are streamed."""


ROWS_AT_A_TIME = 32
"""Rows from all over a memory map; each may bring a megabyte around it into memory."""


class Rows:
    """Some rows of an array, `(row, *event)`, in an order of their own, read when they are asked for."""

    def __init__(self, array: np.ndarray, places: np.ndarray):
        self.array, self.places = array, places

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.places), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self.array.ndim

    @property
    def size(self) -> int:
        """As of an array."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """As of an array."""
        return self.array.dtype

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> np.ndarray:
        """The rows at an index of the leading axis, in memory."""
        return read(self.array, self.places[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def part(self, index: Any) -> "Rows":
        """Some of these rows, not yet read."""
        return Rows(self.array, self.places[index])


Source = np.ndarray | Rows


def read(source: Source, index: Any) -> np.ndarray:
    """The rows at an index of the leading axis, in memory."""
    if isinstance(source, Rows):
        return source[index]
    if not isinstance(source, np.memmap) or isinstance(index, slice):
        rows = np.array(source[index])
        _let_go(source)
        return rows
    index = np.asarray(index)
    rows = np.empty((len(index), *source.shape[1:]), source.dtype)
    for start in range(0, len(index), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        rows[part] = source[index[part]]
        _let_go(source)
    return rows


def _let_go(source: np.ndarray) -> None:
    """Takes the pages of a read-only map out of the memory of this process."""
    pages = getattr(source, "_mmap", None)
    if pages is not None and getattr(source, "mode", None) == "r" and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def in_order(source: Source) -> Source:
    """The same rows in the order of the array they are of, in which a file is read fastest; a sum has no order."""
    return source.part(np.argsort(source.places)) if isinstance(source, Rows) else source


def is_resident(source: Source, resident: bool | None) -> bool:
    """Whether standardised data are to be held in memory: if None, unless they are of a large memory map."""
    whole = source.array if isinstance(source, Rows) else source
    return not isinstance(whole, np.memmap) or 4 * whole.size <= RESIDENT_BYTES if resident is None else resident


def chunks(source: Source) -> Iterator[tuple[int, np.ndarray]]:
    """All rows in order as they are, some at a time, each lot with the place of its first."""
    num_rows = max(1, CHUNK_SIZE // max(1, math.prod(source.shape[1:])))
    for start in range(0, len(source), num_rows):
        yield start, read(source, slice(start, start + num_rows))


def require(source: Source, is_valid: Callable[[np.ndarray], np.ndarray], *, expected: str, remedy: str) -> None:
    """Raise `InputError` with the number of the entries that are not valid, and the first of them."""
    num_bad, first = 0, None
    for start, chunk in chunks(source):
        chunk = chunk.astype(np.float64)
        bad = ~is_valid(chunk)
        if first is None and bad.any():
            row, *rest = (int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
            first, value = (start + row, *rest), chunk[row, *rest]
        num_bad += int(bad.sum())
    if first is not None:
        got = f"{num_bad:,} other entries, the first {value} at index {first}"
        raise InputError("values", expected=expected, got=got, remedy=remedy)


def moments(source: Source, pooled_mean: bool) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and each coordinate's mean square about it, in float64; infinite where squares overflow."""
    source = in_order(source)
    # Deviations from one of the data, so that a constant has a variance of exactly zero.
    first = read(source, slice(1))[0].astype(np.float64)
    origin = first.ravel()[0] if pooled_mean else first

    def average(function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        def summed(chunk: np.ndarray) -> np.ndarray:
            deviations = chunk.astype(np.float64)
            deviations -= origin
            return np.asarray(function(deviations).sum(axis=0))

        sums = (summed(chunk) for _, chunk in chunks(source))
        return np.asarray(sum(sums, np.zeros(source.shape[1:])) / len(source))

    def squared(deviations: np.ndarray) -> np.ndarray:
        deviations -= offset  # in place, as a chunk is as large as it may be
        return np.square(deviations, out=deviations)

    with np.errstate(over="ignore", invalid="ignore"):
        offset = average(lambda deviations: deviations)
        offset = np.asarray(offset.mean()) if pooled_mean else offset
        return np.asarray(origin + offset), average(squared)
