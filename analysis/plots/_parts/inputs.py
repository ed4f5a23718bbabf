"""What plots ask of the arrays and groups they are given, and the units of log-densities."""

from math import log

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.units import Units

Group = xr.Dataset | xr.DataTree


def finite_array(argument: str, values: ArrayLike, shape: tuple[int | str, ...]) -> np.ndarray:
    """The array of finite numbers that `values` must be; a word in `shape` stands for any size but 0."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        got = f"dtype {array.dtype}" if array.dtype.kind not in "biuf" else "NaN or infinity"
        raise InputError(argument, expected="finite real numbers", got=got, remedy="convert, or drop these entries")
    fits = len(shape) == array.ndim and all(
        size > 0 if isinstance(wanted, str) else size == wanted for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        expected = f"shape ({', '.join(map(str, shape))})"
        raise InputError(argument, expected=expected, got=f"shape {array.shape}", remedy="reshape or select")
    return array


def left_out(shown: np.ndarray) -> str:
    """For the label of an axis: how many of the data, `(datum,)`, a plot had to leave out."""
    missing = int((~shown).sum())
    return f", {missing:,} of {len(shown):,} data left out" if missing else ""


def check_times(times: list[int]) -> None:
    """Raise `InputError` unless there are times, and no two alike: each is a column of its own."""
    if not times or len(set(times)) < len(times):
        raise InputError("times", expected="times that differ", got=times, remedy="give each time once")


def group(given: Group, name: str, *variables: str) -> xr.Dataset:
    """A group of results that has these variables, itself or out of a tree.

    **Raises:** `InputError` where the group or a variable is missing.
    """
    tree = given.children.get(name, given) if isinstance(given, xr.DataTree) else given
    found = tree.to_dataset() if isinstance(tree, xr.DataTree) else tree
    missing = [variable for variable in variables if variable not in found.variables]
    if missing:
        raise InputError(
            name,
            expected=f"a group with {', '.join(variables)}",
            got=f"one without {missing[0]}",
            remedy=f"make it by dpm_ppl.analysis.tree.tree.{name}_group",
        )
    return found


def bits_or_nats(unit: str) -> float:
    """What to multiply nats by.

    **Raises:** `InputError` for a unit other than bits and nats.
    """
    if unit not in ("bits", "nats"):
        raise InputError("unit", expected="'bits' or 'nats'", got=repr(unit), remedy="choose one of these")
    return 1 / log(2) if unit == "bits" else 1.0


def log_density_in(unit: str, units: Units | None) -> tuple[float, float]:
    """Factor and offset that bring a log-density per point, in nats of standardised data, to `unit`.

    Without `units` the data stay standardised, and `unit` is `bits/point` or `nats/point`.
    """
    if units is not None:
        factor = units.in_units(1.0, unit)
        return factor, units.log_det * factor
    amount, _, whole = unit.partition("/")
    if whole != "point":
        raise InputError(
            "unit", expected="'bits/point' or 'nats/point'", got=repr(unit), remedy="pass units for any other"
        )
    return bits_or_nats(amount), 0.0
