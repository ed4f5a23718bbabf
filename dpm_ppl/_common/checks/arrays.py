"""Arrays of any origin: numbers, without gaps, finite, and as JAX holds them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from numpy.typing import ArrayLike

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array


def is_traced(*trees: Any) -> bool:
    """Whether anything in them is known only while JAX traces a function, and not by its value."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def short(value: Any) -> str:
    """How a refused value is told: as Python writes it, where that is short."""
    if isinstance(value, Tracer):
        return "a traced value"
    if isinstance(value, jax.Array | np.ndarray) and value.ndim:
        return f"an array {value.dtype} of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 200 else type(value).__name__


def real_array(values: Any, argument: str = "x_0") -> np.ndarray | Array:
    """An array of real numbers: JAX's arrays, traced ones too, and NumPy's as they are, all others as NumPy's.

    **Raises:** `InputError` for what is no array of real numbers, and for a masked array that hides some of them.
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            hidden = f"{np.ma.count_masked(values):,} masked"
            raise InputError(argument, expected="values without gaps", got=hidden, remedy="drop or fill these data")
        values = values.data
    try:
        array = values if isinstance(values, jax.Array | np.ndarray) else np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InputError(argument, expected="an array", got=error, remedy="give every datum the same shape") from error
    if array.dtype.kind not in "biuf" and not jnp.issubdtype(array.dtype, jnp.floating):
        got, remedy = f"dtype {array.dtype}", "convert to float32 or integers"
        if array.ndim == 0 and hasattr(type(values), "values") and not isinstance(values, Mapping):  # as a Dataset
            got, remedy = f"a {type(values).__name__}", "pass its array, .values"
        raise InputError(argument, expected="real numbers", got=got, remedy=remedy)
    return array


def as_jax_holds(values: Any, argument: str = "x_0") -> np.ndarray | Array:
    """`real_array` in the precision and byte order that JAX works in; values that it can hold must be what they were.

    **Raises:** `InputError` as `real_array` does, and where a value is beyond the range of that precision.
    """
    array = real_array(values, argument)
    if isinstance(array, jax.Array):
        return array
    native = array.dtype.newbyteorder("=")
    dtype = jax.dtypes.canonicalize_dtype(np.float64 if native == np.longdouble else native)
    if dtype == array.dtype:
        return array
    with np.errstate(over="ignore"):
        held = array.astype(dtype)
    lost = np.isinf(held) & np.isfinite(array) if dtype.kind == "f" else held != array
    if lost.any():
        raise InputError(
            argument,
            expected=f"values in the range of {dtype}",
            got=f"{int(lost.sum()):,} beyond it, the first {array[lost][0]}",
            remedy="rescale them, or call jax.config.update('jax_enable_x64', True)",
        )
    return held


def check_finite(values: np.ndarray | Array, argument: str) -> None:
    """Raise `InputError` unless all values are finite; traced ones are not known yet."""
    if is_traced(values):
        return
    finite = np.isfinite(np.asarray(values))
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            argument,
            expected="finite values",
            got=f"{int((~finite).sum())} NaN or infinite, the first at index {first}",
            remedy="drop or repair these data before fitting",
        )


def finite_array(
    argument: str,
    values: ArrayLike,
    shape: tuple[int | str, ...] | None = None,
    *,
    expected: str = "finite real numbers",
    remedy: str = "convert, or drop these entries",
) -> np.ndarray:
    """The array of finite numbers that `values` must be; a word in `shape` stands for any size but 0.

    **Raises:** `InputError` for anything else.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        got = f"dtype {array.dtype}" if array.dtype.kind not in "biuf" else "NaN or infinity"
        raise InputError(argument, expected=expected, got=got, remedy=remedy)
    if shape is not None:
        check_shape(argument, array, shape)
    return array


def check_shape(
    argument: str,
    array: Any,
    shape: tuple[int | str, ...],
    *,
    expected: str | None = None,
    remedy: str = "reshape or select",
) -> None:
    """Raise `InputError` unless the array has this shape; a word in it stands for any size but 0."""
    found = np.shape(array)
    fits = len(shape) == len(found) and all(
        size > 0 if isinstance(wanted, str) else size == wanted for wanted, size in zip(shape, found, strict=True)
    )
    if not fits:
        sizes = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
        raise InputError(argument, expected=expected or f"shape ({sizes})", got=f"shape {found}", remedy=remedy)


def check_event_shape(argument: str, data: Any, event_shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless each datum, along the leading axis, has this shape."""
    shape = np.shape(data)
    if not shape or shape[1:] != event_shape:
        raise InputError(
            argument,
            expected=f"data of event shape {event_shape} behind one data axis",
            got=f"shape {shape}",
            remedy="reshape the data, or build the method for their shape",
        )


def check_exact(log_density: np.ndarray) -> None:
    """Raise `InputError` unless the known log-likelihoods of data are numbers below infinity."""
    failed = np.isnan(log_density) | np.isposinf(log_density)
    if failed.any():
        raise InputError(
            "exact",
            expected="log-likelihoods that are numbers",
            got=f"{failed.sum():,} of {failed.size:,} that are NaN or +inf",
            remedy="find out why, or leave it out",
        )
