"""Choices, kinds and names, keys and devices: what is no number."""

from collections.abc import Iterable, Mapping, Sequence, Sized
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks.arrays import is_traced, short
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey


def one_of[X](argument: str, value: X, choices: Iterable[str], remedy: str = "choose one of these") -> X:
    """The value, if it is one of the choices.

    **Raises:** `InputError` that lists them for any other.
    """
    choices = list(choices)
    if value not in choices:
        words = choices if argument.startswith("--") else [repr(choice) for choice in choices]
        expected = " or ".join(words) if len(words) <= 2 else f"one of {', '.join(choices)}"
        raise InputError(argument, expected=expected, got=repr(value), remedy=remedy)
    return value


def check_names(argument: str, names: Iterable[str], known: Iterable[str], *, remedy: str) -> None:
    """Raise `InputError` for the first name that is not known."""
    known = list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(argument, expected=f"any of {', '.join(known)}", got=unknown[0], remedy=remedy)


def check_kind(argument: str, value: Any, kind: Any, *, expected: str, remedy: str) -> None:
    """Raise `InputError` for a value of another kind: a class, a union of them, or `Callable`."""
    if not isinstance(value, kind):
        got = short(value) if isinstance(value, str | int | float | list | tuple) else type(value).__name__
        raise InputError(argument, expected=expected, got=got, remedy=remedy)


def check_some(argument: str, values: Sized, *, expected: str, remedy: str) -> None:
    """Raise `InputError` where there are none."""
    if not len(values):
        raise InputError(argument, expected=expected, got="none", remedy=remedy)


def check_installed(package: str, *, expected: str, extra: str) -> None:
    """Raise `InputError` unless a package is there that one of the extras brings."""
    try:
        import_module(package)
    except ImportError as error:
        remedy = f"pip install 'dpm-ppl[{extra}]'"
        raise InputError(package, expected=expected, got="no such package", remedy=remedy) from error


def named[X](values: Mapping[Any, X], argument: str) -> dict[str, X]:
    """By names that are text: those of a sweep may be numbers.

    **Raises:** `InputError` where this makes two of them the same, and for what is no mapping.
    """
    if not isinstance(values, Mapping):
        raise InputError(argument, expected="a mapping", got=short(values), remedy="pass {'name': ...}")
    texts = {str(name): value for name, value in values.items()}
    if len(texts) < len(values):
        raise InputError(argument, expected="names of their own", got=f"{list(values)}", remedy="rename one")
    return texts


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
        raise InputError(argument, expected="a JAX random key", got=short(key), remedy=remedy)
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
        raise InputError("devices", expected="a list of JAX devices", got=short(devices), remedy=remedy)
    return listed
