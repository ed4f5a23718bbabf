"""A digest of what an estimate depends on, so that sums that were saved for one are never continued for another.

A computation is known by its jaxpr, as JAX traces it on abstract inputs, and by the values of the constants in it. So a
global, a default or a helper counts by what it does to the result, and names and layout of the code do not count.
"""

import dataclasses
import enum
import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError

_LIBRARIES = ("jax", "jaxlib", "equinox", "numpy", "builtins")
"""Their functions are known by their names."""
_MANNER = {"ctx_mesh", "sharding", "in_shardings", "out_sharding", "out_shardings", "in_layouts", "out_layouts"}
_MANNER |= {"donated_invars", "keep_unused", "inline", "compiler_options_kvs"}
"""Parameters of primitives that say where and how something is computed, not what."""


def fingerprint(*parts: Any) -> str:
    """A digest of arrays by their bytes, of numbers, texts and sequences of these."""
    return _joined(_of(part) for part in parts)[:32]


def computation(compute: Callable[..., Any], parts: Any, *inputs: Any) -> str:
    """A digest of what `compute(parts, *inputs)` does with the arrays in the pytree `parts` and with `inputs`.

    Their values do not count, only their shapes and dtypes; values that `compute` and `parts` hold in other places do.

    **Raises:** `InputError` where it calls back to Python, which a trace does not see.
    """
    arrays, rest = eqx.partition(parts, eqx.is_array)
    traced = jax.make_jaxpr(lambda arrays, *inputs: compute(eqx.combine(arrays, rest), *inputs))(arrays, *inputs)
    return _of(traced)[:32]


def _of(value: Any) -> str:
    if _is_jaxpr(value):
        return _of_jaxpr(value)
    if isinstance(value, np.ndarray | jax.Array) or hasattr(value, "__array__"):
        is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        array = np.ascontiguousarray(jax.random.key_data(value) if is_key else value)
        return _joined([str(value.dtype), str(array.shape), hashlib.sha256(array.tobytes()).hexdigest()])
    if isinstance(value, enum.Enum):
        return f"{_name(type(value))}.{value.name}"
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, np.dtype):
        return f"dtype {value}"
    if isinstance(value, jax.tree_util.PyTreeDef):
        return f"tree of {value.num_leaves}"
    if isinstance(value, tuple | list):
        return _joined(["sequence", *map(_of, value)])
    if isinstance(value, dict):
        return _joined(["mapping", *(_of(item) for item in sorted(value.items(), key=repr))])
    if isinstance(value, set | frozenset):
        return _joined(["set", *sorted(map(_of, value))])
    if isinstance(value, partial):
        return _joined(["partial", _of(value.func), _of(value.args), _of(value.keywords)])
    return _of_object(value)


def _of_object(value: Any) -> str:
    """Functions of libraries by name, their objects by their fields."""
    named = value if hasattr(value, "__qualname__") else type(value)
    if callable(value) and named.__module__.partition(".")[0] not in _LIBRARIES:
        raise InputError(
            "checkpoint",
            expected="a computation that JAX sees as a whole, so that its weights are known again",
            got=f"one that calls back to Python ({_name(named)})",
            remedy="leave the checkpoint out, or write that part in JAX",
        )
    if named is value:
        return _name(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    else:
        fields = vars(value) if hasattr(value, "__dict__") else {}
    return _joined([_name(type(value)), _of(fields)])


def _of_jaxpr(closed: Any) -> str:
    jaxpr = getattr(closed, "jaxpr", closed)
    numbers: dict[Any, int] = {}

    def variable(atom: Any) -> str:
        known = _of(np.asarray(atom.val)) if hasattr(atom, "val") else str(numbers.setdefault(atom, len(numbers)))
        return f"{known}: {atom.aval}"

    pieces = [_of(constant) for constant in getattr(closed, "consts", ())]
    pieces += map(variable, (*jaxpr.constvars, *jaxpr.invars))
    for equation in jaxpr.eqns:
        if equation.outvars:  # what gives nothing back, as a print does, changes no result
            pieces += [equation.primitive.name, *map(variable, equation.invars), _of_params(equation.params)]
            pieces += map(variable, equation.outvars)
    return _joined(["jaxpr", *pieces, *map(variable, jaxpr.outvars)])


def _of_params(params: dict[str, Any]) -> str:
    """The parameters of a primitive. Beside a jaxpr, functions are what it was traced from or its derivatives."""
    traced = any(map(_is_jaxpr, jax.tree.leaves(params, is_leaf=_is_jaxpr)))
    without = _MANNER | {"name"} if traced else _MANNER
    kept = {name: value for name, value in params.items() if name not in without}
    if traced:
        kept = {name: value for name, value in kept.items() if not (callable(value) or hasattr(value, "call_wrapped"))}
    return _of(kept)


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")


def _joined(pieces: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(pieces).encode()).hexdigest()


def _name(named: Any) -> str:
    return f"{named.__module__}.{named.__qualname__}"
