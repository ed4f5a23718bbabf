"""What plots ask of the arrays and groups they are given, and the units of log-densities."""

from math import log

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl.data.units import Units

Group = xr.Dataset | xr.DataTree


def as_vectors(draws: ArrayLike) -> np.ndarray:
    """Draws with the axis of their coordinates: scalars, `(draw,)`, are vectors of one, `(draw, 1)`."""
    array = np.asarray(draws)
    return array[:, None] if array.ndim == 1 else array


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
    one_of("unit", unit, ("bits", "nats"))
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
