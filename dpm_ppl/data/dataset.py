"""`Dataset`: data as training and scoring see them, checked, and standardised by the training split."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_kind, real_array, whole_number
from dpm_ppl._common.chunks import MOST_DATA, chunk_size, in_chunks, keys_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Batch, PRNGKey
from dpm_ppl.data.columns import Table
from dpm_ppl.data.rows import Rows, Source, chunks, is_resident, moments, read, require
from dpm_ppl.data.units import Units


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data as given, and the units in which training sees them. Made by one of the `from_` constructors.

    **Arguments:** `source`, shape `(num_points, *event_shape)`, may be a memory map; `resident` says whether the
    standardised data are to be held in memory as a whole.
    """

    source: Source
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
        - `resident`: `None` streams only memory maps above a quarter of a gibibyte.

        **Raises:** `InputError` for NaN or infinite data, other than real numbers, or data that do not vary.
        """
        source = _real_array(values)
        require(source, np.isfinite, expected="finite numbers", remedy="drop or repair these data")
        units = Units(source.shape[1:], "continuous", np.zeros(()), np.ones(()))
        units = _standard(units, source, reference, per_coordinate, pooled_mean)
        return cls(source, units, is_resident(source, resident))

    @classmethod
    def from_levels(
        cls,
        values: ArrayLike,
        num_levels: int,
        *,
        reference: "Dataset | None" = None,
        per_coordinate: bool = False,
        pooled_mean: bool = False,
        dequantised: bool = True,
        resident: bool | None = None,
    ) -> "Dataset":
        """Data of `num_levels` levels, 0 ... num_levels - 1, which `draw` dequantises by uniform noise of one level.

        Shift and scale are those of the dequantised data. Arguments as for `from_continuous`; with `dequantised=False`
        the levels are kept as they are, for a categorical kernel.

        **Raises:** `InputError` for anything but whole numbers in that range.
        """
        source = _real_array(values)
        num_levels = whole_number("num_levels", num_levels, least=2, expected="at least 2", remedy="count the levels")
        require(
            source,
            lambda x: (x == np.floor(x)) & (x >= 0) & (x < num_levels),
            expected=f"whole numbers 0 ... {num_levels - 1}",
            remedy="check num_levels, or use Dataset.from_continuous",
        )
        units = Units(source.shape[1:], "levels", np.zeros(()), np.ones(()), num_levels, whole=not dequantised)
        if not dequantised:
            if reference is not None:
                _check_alike(units, reference.units)
            return cls(source, units if reference is None else reference.units, is_resident(source, resident))
        units = _standard(units, source, reference, per_coordinate, pooled_mean)
        return cls(source, units, is_resident(source, resident))

    @classmethod
    def from_binary(cls, values: ArrayLike, *, resident: bool | None = None) -> "Dataset":
        """Bits, kept as they are.

        **Raises:** `InputError` for anything but 0 and 1.
        """
        source = _real_array(values)
        require(
            source,
            lambda x: (x == 0) | (x == 1),
            expected="bits, 0 or 1",
            remedy="threshold the data, or use a Gaussian kernel",
        )
        units = Units(source.shape[1:], "binary", np.zeros(()), np.ones(()))
        return cls(source, units, is_resident(source, resident))

    @classmethod
    def from_table(cls, table: Table, *, reference: "Dataset | None" = None) -> "Dataset":
        """A table's rows, column by column of unit variance; `draw` dequantises whole numbers and categories.

        So a log-density of a datum is that of its real columns, and a lower bound on the log-probability of its
        discrete ones (Theis, van den Oord and Bethge 2016). `reference` as for `from_continuous`.

        **Raises:** `InputError` for anything but a `Table`, NaN or infinite data, and columns that do not vary.
        """
        remedy = "make one of a data frame by Table.of_frame, or use Dataset.from_continuous for an array"
        check_kind("table", table, Table, expected="a Table", remedy=remedy)
        source = _real_array(table.values)
        require(source, np.isfinite, expected="finite numbers", remedy="drop or repair these data")
        kind = "mixed" if any(column.is_discrete for column in table.columns) else "continuous"
        units = Units(source.shape[1:], kind, np.zeros(()), np.ones(()), columns=table.columns)
        return cls(source, _standard(units, source, reference, per_coordinate=True), resident=True)

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
        """All of the data, standardised: float32, or int32 for bits and whole levels."""
        if not self.resident:
            raise InputError(
                "values", expected="resident data", got="data to be streamed", remedy="read them by rows(indices)"
            )
        return np.concatenate([self.units.standardise(chunk) for _, chunk in chunks(self.source)])

    def rows(self, indices: ArrayLike) -> np.ndarray:
        """The standardised data at `indices` of the leading axis, read from the source where it is streamed."""
        indices = np.asarray(indices)
        return self.values[indices] if self.resident else self.units.standardise(read(self.source, indices))

    def part(self, index: slice | np.ndarray) -> "Dataset":
        """Some of the data, in the same units."""
        source = self.source.part(index) if isinstance(self.source, Rows) else self.source[index]
        return Dataset(source, self.units, self.resident)

    @property
    def draw(self) -> Callable[[Batch | np.ndarray, PRNGKey], Array]:
        """A function of standardised rows and a key: x_0, for which levels get noise over their interval."""
        return self.units.dequantise


def drawn(data: Dataset, rows: np.ndarray, key: PRNGKey) -> np.ndarray:
    """`data.draw` of all these rows, each with noise of its own that does not depend on how many there are."""
    if not data.units.is_dequantised:
        return rows
    size = chunk_size(len(rows), MOST_DATA)
    return np.asarray(in_chunks(lambda number, rows: _drawn(data.draw, rows, number, key), size, len(rows), rows))


@eqx.filter_jit
def _drawn(draw: Callable, rows: Array, number: Array, key: PRNGKey) -> Array:
    return jax.vmap(lambda row, key: draw(row[None], key)[0])(rows, keys_of(key, number))


def stand_in(units: Units, num_points: int) -> Dataset:
    """Data drawn at random in the units of others, which are not at hand: what can model those can model these."""
    generator, shape = np.random.default_rng(0), (num_points, *units.event_shape)
    z = generator.normal(size=shape) if units.num_symbols is None else generator.integers(0, units.num_symbols, shape)
    return Dataset(units.as_given(z), units, resident=True)


def load_array(path: str | Path, name: str | None = None) -> np.ndarray:
    """The array of a `.npy` file as a read-only memory map, or that of a `name` in a `.npz` file, in memory.

    **Raises:** `InputError` where there is no such file, or it holds anything but one array of numbers.
    """
    try:
        if name is not None:
            with np.load(path, allow_pickle=False) as archive:
                return _no_longer_than_double(archive[name])
        return _no_longer_than_double(np.lib.format.open_memmap(path, mode="r"))
    except FileNotFoundError as error:
        raise InputError("data", expected="a .npy file", got=f"no file {path}", remedy="check the path") from error
    except (ValueError, OSError) as error:
        raise InputError(
            "data",
            expected="a .npy file of numbers",
            got=f"{path}, which does not read as one ({error})",
            remedy="save one numeric array with numpy.save",
        ) from error


def _no_longer_than_double(values: np.ndarray) -> np.ndarray:
    """Long doubles as float64, with which linear algebra works; others as they are."""
    is_longer = values.dtype.kind == "f" and values.dtype.itemsize > 8
    return values.astype(np.float64) if is_longer else values


def split(values: np.ndarray, num_train: int, seed: int) -> tuple[Source, Source]:
    """Training and held-out data: a random permutation fixed by `seed`, cut after `num_train`.

    Those of a memory map are read when they are asked for.
    """
    expected = f"between 1 and {len(values) - 1}, so that both splits hold data"
    remedy = "choose a smaller training split or bring more data"
    whole_number("num_train", num_train, most=len(values) - 1, expected=expected, remedy=remedy)
    order = np.random.default_rng(seed).permutation(len(values))
    parts = order[:num_train], order[num_train:]
    train, heldout = (Rows(values, part) if isinstance(values, np.memmap) else values[part] for part in parts)
    return train, heldout


def _real_array(values: ArrayLike | Rows) -> Source:
    source = values if isinstance(values, Rows) else _no_longer_than_double(np.asanyarray(real_array(values, "values")))
    if source.ndim == 0 or source.size == 0:
        raise InputError(
            "values",
            expected="at least one datum, shape (num_points, *event_shape)",
            got=f"shape {source.shape}",
            remedy="pass an array with one row per datum",
        )
    return source


def _standard(
    units: Units, source: Source, reference: "Dataset | None", per_coordinate: bool, pooled_mean: bool = False
) -> Units:
    """The units of the reference, or else `units` with the shift and scale that standardise the source."""
    if reference is not None:
        _check_alike(units, reference.units)
        return reference.units
    shift, variance = moments(source, pooled_mean)
    variance = np.asarray(variance if per_coordinate else variance.mean())
    _check_variance(source, variance, per_coordinate, units)
    widths = units.widths if per_coordinate else units.widths.flat[0]
    shift, variance = shift + widths / 2, variance + widths**2 / 12  # with uniform noise over [0, width)
    return replace(units, shift=np.asarray(shift), scale=np.asarray(np.sqrt(variance)))


def _check_alike(units: Units, reference: Units) -> None:
    if any(getattr(units, name) != getattr(reference, name) for name in ("event_shape", "kind", "num_levels", "whole")):
        expected, got = (
            f"{'whole ' * one.whole}{one.kind} data of event shape {one.event_shape} and num_levels {one.num_levels}"
            for one in (units, reference)
        )
        raise InputError("reference", expected=expected, got=got, remedy="make both splits alike")


def _check_variance(source: Source, variance: np.ndarray, per_coordinate: bool, units: Units) -> None:
    """Raise `InputError` where the data do not vary, or so much or little that their variance cannot be known."""
    bad = ~np.isfinite(variance)
    if bad.any():
        raise InputError(
            "values",
            expected="numbers whose squares are finite",
            got=f"a variance that overflows{f' in {units.named(bad)}' * per_coordinate}",
            remedy="rescale the data, and drop what only stands for missing",
        )
    constant = variance == 0
    if constant.any():
        pooled = "" if units.columns else ", or pool the variance (per_coordinate=False)"
        raise InputError(
            "values",
            expected="data that vary in every coordinate" if per_coordinate else "data that vary",
            got=f"the same value throughout {units.named(constant)}" if per_coordinate else "a constant",
            remedy=f"drop what is constant{pooled}" if per_coordinate else "check the data",
        )
    # What a float near the data is rounded to must be finer than the data differ.
    first = read(source, slice(1))[0]
    spacing = np.spacing(np.abs(first)).astype(np.float64) if source.dtype.kind == "f" else np.zeros(1)
    coarse = spacing > np.sqrt(variance) / 2
    if coarse.any():
        raise InputError(
            "values",
            expected="data that differ by more than they are rounded to",
            got=f"{source.dtype} around {first[coarse].flat[0]:g} in steps of {spacing[coarse].flat[0]:g}",
            remedy="subtract what they have in common before they are converted",
        )
