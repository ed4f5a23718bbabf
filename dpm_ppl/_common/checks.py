"""What users bring, as the code behind it wants it: arrays, keys, numbers and names of any origin.

Everything public passes its arguments through here, so that whatever NumPy, JAX, pandas or xarray call a number, an
array or a name is one, and the rest is refused in one line.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, PRNGKey


def is_traced(*trees: Any) -> bool:
    """Whether anything in them is known only while JAX traces a function, and not by its value."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


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
        got = f"dtype {array.dtype}"
        raise InputError(argument, expected="real numbers", got=got, remedy="convert to float32 or integers")
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


def check_known(**arguments: Any) -> None:
    """Raise `InputError` where an argument is traced, and its values are needed outside of JAX."""
    for name, value in arguments.items():
        if is_traced(value):
            raise InputError(
                name,
                expected="known values, as they are added up outside of JAX",
                got="traced ones, as in a function under jit, grad or vmap",
                remedy="take it out of that function, in which bound and the log_weight of a proposal may stand",
            )


def check_key(key: Any, argument: str = "key") -> PRNGKey:
    """The key, if it is a single one of JAX's, of either kind; it may be traced.

    **Raises:** `InputError` for seeds, several keys, and anything else.
    """
    if isinstance(key, int | np.integer):
        remedy = f"pass jax.random.key({key})"
        raise InputError(argument, expected="a JAX random key", got=f"the seed {key}", remedy=remedy)
    is_typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    is_raw = isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32
    one = () if is_typed else jax.eval_shape(jax.random.PRNGKey, 0).shape
    if not (is_typed or is_raw) or key.shape[key.ndim - len(one) :] != one:
        remedy = "for example jax.random.key(0)"
        raise InputError(argument, expected="a JAX random key", got=_short(key), remedy=remedy)
    if key.shape != one:
        batch = key.shape[: key.ndim - len(one)]
        raise InputError(argument, expected="one key", got=f"keys of shape {batch}", remedy="pass one, such as keys[0]")
    return jnp.asarray(key)


def check_devices(devices: Any) -> list[Any] | None:
    """JAX devices as a list.

    **Raises:** `InputError` for anything but a sequence of devices that is not empty.
    """
    if devices is None:
        return None
    listed = list(devices) if isinstance(devices, Sequence | np.ndarray) else []
    if not listed or not all(isinstance(device, jax.Device) for device in listed):
        remedy = "for example jax.devices(), or [device] for a single one"
        raise InputError("devices", expected="a list of JAX devices", got=_short(devices), remedy=remedy)
    return listed


def whole_number(
    name: str, value: Any, *, least: int = 1, expected: str = "a positive integer", remedy: str = "use the default"
) -> int:
    """An integer of Python, NumPy or JAX as Python's; booleans are none.

    **Raises:** `InputError` for anything else, and for less than `least`.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:  # of traced values too
        number = least - 1
    if number < least:
        raise InputError(name, expected=expected, got=_short(value), remedy=remedy)
    return number


def check_sizes(**sizes: int | None) -> list[Any]:
    """All of them as Python's integers; None leaves the size of a chunk to the memory budget.

    **Raises:** `InputError` unless all are positive integers.
    """
    left_open = {name for name, size in sizes.items() if size is None and name.endswith("_chunk")}
    return [None if name in left_open else whole_number(name, size) for name, size in sizes.items()]


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


def event_sizes(event_shape: Any) -> tuple[int, ...]:
    """The shape of one datum, as Python's integers.

    **Raises:** `InputError` for anything but a tuple of positive integers.
    """
    expected, remedy = "a tuple of positive integers", "give the shape of one datum, for example (2,) for the plane"
    if not isinstance(event_shape, tuple):
        raise InputError("event_shape", expected=expected, got=_short(event_shape), remedy=remedy)
    return tuple(whole_number("event_shape", size, expected=expected, remedy=remedy) for size in event_shape)


def real_number(name: str, value: Any) -> float:
    """A number of Python, NumPy or JAX as Python's.

    **Raises:** `InputError` for anything else, a traced number included: it is not known yet.
    """
    if isinstance(value, str | bool) or np.ndim(value) or is_traced(value):
        raise InputError(name, expected="a number", got=_short(value), remedy="pass a Python float")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(name, expected="a number", got=_short(value), remedy="pass a Python float") from error


def named[X](values: Mapping[Any, X], argument: str) -> dict[str, X]:
    """By names that are text: those of a sweep may be numbers.

    **Raises:** `InputError` where this makes two of them the same, and for what is no mapping.
    """
    if not isinstance(values, Mapping):
        raise InputError(argument, expected="a mapping", got=_short(values), remedy="pass {'name': ...}")
    texts = {str(name): value for name, value in values.items()}
    if len(texts) < len(values):
        raise InputError(argument, expected="names of their own", got=f"{list(values)}", remedy="rename one")
    return texts


def _short(value: Any) -> str:
    if isinstance(value, Tracer):
        return "a traced value"
    if isinstance(value, jax.Array | np.ndarray) and value.ndim:
        return f"an array {value.dtype} of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 200 else type(value).__name__
