"""Data as training sees them: checked, and standardised by the shift and scale of the whole training split."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._chunks import chunk_size, in_chunks, keys_of
from dpm_ppl._errors import InputError
from dpm_ppl._inputs import real_array, whole_number
from dpm_ppl._types import Array, Batch, PRNGKey
from dpm_ppl.units import Kind, Units

CHUNK_SIZE = 2**22  # numbers held in float64 at a time while a memory map is read
RESIDENT_BYTES = 2**30  # memory maps that take more than this in float32 are streamed


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data as given, and the units in which training sees them. Made by one of the `from_` constructors.

    **Arguments:** `source`, shape `(num_points, *event_shape)`, may be a memory map; `resident` says whether the
    standardised data are to be held in memory as a whole.
    """

    source: np.ndarray
    units: Units
    resident: bool

    @classmethod
    def from_continuous(
        cls,
        values: ArrayLike,
        *,
        reference: "Dataset | None" = None,
        per_coordinate: bool = False,
        pooled_mean: bool = False,
        resident: bool | None = None,
    ) -> "Dataset":
        """Real data, scaled to unit variance.

        **Arguments:**

        - `reference`: the training split whose shift and scale to use, for a held-out split.
        - `per_coordinate`: one scale per coordinate instead of one from the variance pooled over all coordinates.
        - `pooled_mean`: remove one mean, pooled over all coordinates, instead of that of each.
        - `resident`: `None` streams only memory maps above a gibibyte.

        **Raises:** `InputError` for NaN or infinite data, other than real numbers, or data that do not vary.
        """
        source = _real_array(values)
        _require(source, np.isfinite, expected="finite numbers", remedy="drop or repair these data")
        units = _units(source, "continuous", None, reference, per_coordinate, pooled_mean)
        return cls(source, units, _is_resident(source, resident))

    @classmethod
    def from_levels(
        cls,
        values: ArrayLike,
        num_levels: int,
        *,
        reference: "Dataset | None" = None,
        per_coordinate: bool = False,
        pooled_mean: bool = False,
        resident: bool | None = None,
    ) -> "Dataset":
        """Data of `num_levels` levels, 0 ... num_levels - 1, which `draw` dequantises by uniform noise of one level.

        Shift and scale are those of the dequantised data. Arguments as for `from_continuous`.

        **Raises:** `InputError` for anything but whole numbers in that range.
        """
        source = _real_array(values)
        num_levels = whole_number("num_levels", num_levels, least=2, expected="at least 2", remedy="count the levels")
        _require(
            source,
            lambda x: (x == np.floor(x)) & (x >= 0) & (x < num_levels),
            expected=f"whole numbers 0 ... {num_levels - 1}",
            remedy="check num_levels, or use Dataset.from_continuous",
        )
        units = _units(source, "levels", num_levels, reference, per_coordinate, pooled_mean)
        return cls(source, units, _is_resident(source, resident))

    @classmethod
    def from_binary(cls, values: ArrayLike, *, resident: bool | None = None) -> "Dataset":
        """Bits, kept as they are.

        **Raises:** `InputError` for anything but 0 and 1.
        """
        source = _real_array(values)
        _require(
            source,
            lambda x: (x == 0) | (x == 1),
            expected="bits, 0 or 1",
            remedy="threshold the data, or use a Gaussian kernel",
        )
        units = Units(source.shape[1:], "binary", np.zeros(()), np.ones(()))
        return cls(source, units, _is_resident(source, resident))

    @property
    def num_points(self) -> int:
        """N."""
        return len(self.source)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one datum."""
        return self.units.event_shape

    @property
    def log_det(self) -> float:
        """See `Units.log_det`."""
        return self.units.log_det

    @cached_property
    def values(self) -> np.ndarray:
        """All of the data, standardised: float32, or int32 for bits."""
        if not self.resident:
            raise InputError(
                "values", expected="resident data", got="data to be streamed", remedy="read them by rows(indices)"
            )
        return self.units.standardise(self.source)

    def rows(self, indices: ArrayLike) -> np.ndarray:
        """The standardised data at `indices` of the leading axis, read from the source where it is streamed."""
        indices = np.asarray(indices)
        return self.values[indices] if self.resident else self.units.standardise(self.source[indices])

    @property
    def draw(self) -> Callable[[Batch | np.ndarray, PRNGKey], Array]:
        """A function of standardised rows and a key: x_0, for which levels get noise over their interval."""
        return self.units.dequantise


def drawn(data: Dataset, rows: np.ndarray, key: PRNGKey, data_chunk: int | None = 1000) -> np.ndarray:
    """`data.draw` of all these rows, each with noise of its own that does not depend on how many there are."""
    if data.units.num_levels is None:
        return rows
    size = chunk_size(len(rows), data_chunk)
    return np.asarray(in_chunks(lambda number, rows: _drawn(data.draw, rows, number, key), size, len(rows), rows))


@eqx.filter_jit
def _drawn(draw: Callable, rows: Array, number: Array, key: PRNGKey) -> Array:
    return jax.vmap(lambda row, key: draw(row[None], key)[0])(rows, keys_of(key, number))


def load_array(path: str | Path) -> np.ndarray:
    """The array of a `.npy` file as a read-only memory map.

    **Raises:** `InputError` where there is no such file, or it holds anything but one array of numbers.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise InputError("data", expected="a .npy file", got=f"no file {path}", remedy="check the path") from error
    except (ValueError, OSError) as error:
        raise InputError(
            "data",
            expected="a .npy file of numbers",
            got=f"{path}, which does not read as one ({error})",
            remedy="save one numeric array with numpy.save",
        ) from error


def split(values: np.ndarray, num_train: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out data: a random permutation fixed by `seed`, cut after `num_train`."""
    if not 0 < num_train < len(values):
        raise InputError(
            "num_train",
            expected=f"between 1 and {len(values) - 1}, so that both splits hold data",
            got=num_train,
            remedy="choose a smaller training split or bring more data",
        )
    order = np.random.default_rng(seed).permutation(len(values))
    return values[order[:num_train]], values[order[num_train:]]


def _real_array(values: ArrayLike) -> np.ndarray:
    source = np.asanyarray(real_array(values, "values"))
    if source.ndim == 0 or source.size == 0:
        raise InputError(
            "values",
            expected="at least one datum, shape (num_points, *event_shape)",
            got=f"shape {source.shape}",
            remedy="pass an array with one row per datum",
        )
    return source


def _is_resident(source: np.ndarray, resident: bool | None) -> bool:
    return not isinstance(source, np.memmap) or 4 * source.size <= RESIDENT_BYTES if resident is None else resident


def _chunks(source: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    num_rows = max(1, CHUNK_SIZE // math.prod(source.shape[1:]))
    for start in range(0, len(source), num_rows):
        yield start, np.asarray(source[start : start + num_rows], np.float64)


def _require(source: np.ndarray, is_valid: Callable[[np.ndarray], np.ndarray], *, expected: str, remedy: str) -> None:
    num_bad, first = 0, None
    for start, chunk in _chunks(source):
        bad = ~is_valid(chunk)
        if first is None and bad.any():
            row, *rest = (int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
            first, value = (start + row, *rest), chunk[row, *rest]
        num_bad += int(bad.sum())
    if first is not None:
        got = f"{num_bad:,} other entries, the first {value} at index {first}"
        raise InputError("values", expected=expected, got=got, remedy=remedy)


def _units(
    source: np.ndarray,
    kind: Kind,
    num_levels: int | None,
    reference: "Dataset | None",
    per_coordinate: bool,
    pooled_mean: bool,
) -> Units:
    event_shape = source.shape[1:]
    if reference is not None:
        units = reference.units
        if (units.event_shape, units.kind, units.num_levels) != (event_shape, kind, num_levels):
            raise InputError(
                "reference",
                expected=f"{kind} data of event shape {event_shape} and num_levels {num_levels}",
                got=f"{units.kind} data of event shape {units.event_shape} and num_levels {units.num_levels}",
                remedy="make both splits alike",
            )
        return units

    shift, variance = _moments(source, pooled_mean)
    variance = variance if per_coordinate else variance.mean()
    if kind == "levels":  # of the data plus uniform noise over [0, 1)
        shift, variance = shift + 1 / 2, variance + 1 / 12
    constant = np.asarray(variance == 0)
    if constant.any():
        raise InputError(
            "values",
            expected="data that vary" + " in every coordinate" * per_coordinate,
            got=f"{int(constant.sum()):,} coordinates with a constant value" if per_coordinate else "a constant",
            remedy="drop them, or pool the variance (per_coordinate=False)" if per_coordinate else "check the data",
        )
    return Units(event_shape, kind, np.asarray(shift), np.asarray(np.sqrt(variance)), num_levels)


def _moments(source: np.ndarray, pooled_mean: bool) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and each coordinate's mean square about it."""
    # Deviations from one of the data, so that a constant has a variance of exactly zero.
    origin = np.asarray(source[0].ravel()[0] if pooled_mean else source[0], np.float64)

    def average(function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        sums = (function(chunk - origin).sum(axis=0) for _, chunk in _chunks(source))
        return np.asarray(sum(sums, np.zeros(source.shape[1:])) / len(source))

    offset = average(lambda deviations: deviations)
    offset = np.asarray(offset.mean()) if pooled_mean else offset
    return np.asarray(origin + offset), average(lambda deviations: np.square(deviations - offset))
