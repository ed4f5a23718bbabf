"""What plots ask of the arrays they are given."""

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._errors import InputError


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
