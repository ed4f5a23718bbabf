"""Numbers of Python, NumPy and JAX as Python's, in their ranges; booleans are none."""

import math
import operator
from typing import Any

import numpy as np

from dpm_ppl._common.checks.arrays import is_traced, short
from dpm_ppl._common.errors import InputError


def is_boolean(value: Any) -> bool:
    """Whether it is a boolean of Python, NumPy or JAX."""
    return isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_


def whole_number(
    argument: str,
    value: Any,
    *,
    least: int = 1,
    most: int | None = None,
    expected: str = "a positive integer",
    remedy: str | None = None,
) -> int:
    """An integer of Python, NumPy or JAX as Python's; booleans are none.

    **Raises:** `InputError` for anything else, for less than `least` and for more than `most`.
    """
    try:
        number = None if is_boolean(value) else operator.index(value)
    except TypeError:  # of traced values too
        number = None
    if number is None or number < least or (most is not None and number > most):
        remedy = remedy or (f"pass {least} or more" if most is None else f"pass {least} to {most}")
        raise InputError(argument, expected=expected, got=short(value), remedy=remedy)
    return number


def real_number(argument: str, value: Any) -> float:
    """A number of Python, NumPy or JAX as Python's.

    **Raises:** `InputError` for anything else, a traced number included: it is not known yet.
    """
    if isinstance(value, str) or is_boolean(value) or np.ndim(value) or is_traced(value):
        raise InputError(argument, expected="a number", got=short(value), remedy="pass a Python float")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(argument, expected="a number", got=short(value), remedy="pass a Python float") from error


def number_in(
    argument: str,
    value: Any,
    low: float | int = -math.inf,
    high: float | int = math.inf,
    *,
    expected: str,
    remedy: str,
    closed: str = "",
) -> float:
    """A finite number between two others, as Python's; `closed` names the ends that belong to the range: low, high.

    **Raises:** `InputError` for anything else.
    """
    number = real_number(argument, value)
    above = number >= low if "low" in closed else number > low
    below = number <= high if "high" in closed else number < high
    if not (above and below and math.isfinite(number)):
        raise InputError(argument, expected=expected, got=short(value), remedy=remedy)
    return number


def check_sizes(**sizes: Any) -> list[Any]:
    """All of them as Python's integers; None leaves the size of a chunk to the memory budget.

    **Raises:** `InputError` unless all are positive integers.
    """
    left_open = {name for name, size in sizes.items() if size is None and name.endswith("_chunk")}
    return [None if name in left_open else whole_number(name, size) for name, size in sizes.items()]


def event_sizes(event_shape: Any) -> tuple[int, ...]:
    """The shape of one datum, as Python's integers.

    **Raises:** `InputError` for anything but a tuple of positive integers.
    """
    expected, remedy = "a tuple of positive integers", "give the shape of one datum, for example (2,) for the plane"
    if not isinstance(event_shape, tuple):
        raise InputError("event_shape", expected=expected, got=short(event_shape), remedy=remedy)
    return tuple(whole_number("event_shape", size, expected=expected, remedy=remedy) for size in event_shape)
