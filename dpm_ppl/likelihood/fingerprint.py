"""A digest of what an estimate depends on, the same in every process, so that saved sums are never mixed up."""

import dataclasses
import functools
import hashlib
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def fingerprint(*parts: Any) -> str:
    """A digest of arrays by their bytes, objects by their type and fields, functions by what they compute with."""
    digest = hashlib.sha256()
    for part in parts:
        _digest(digest, part)
    return digest.hexdigest()[:32]


def _digest(digest: Any, part: Any) -> None:
    if isinstance(part, jax.Array) and jnp.issubdtype(part.dtype, jax.dtypes.prng_key):
        part = jax.random.key_data(part)
    if isinstance(part, np.ndarray | jax.Array):
        array = np.ascontiguousarray(part)
        digest.update(f"array {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
        return
    name, contents = _contents(part)
    digest.update(f"{name} {len(contents)} ".encode())
    for content in contents:
        _digest(digest, content)


def _contents(part: Any) -> tuple[str, list[Any]]:
    """What a part is called, and what it is made of."""
    if isinstance(part, types.MethodType):
        return "method", [part.__func__, part.__self__]
    if isinstance(part, functools.partial):
        return "partial", [part.func, *part.args, *_pairs(part.keywords)]
    part = getattr(part, "__wrapped__", part)  # jitted functions are known by what they wrap
    if isinstance(part, types.FunctionType):
        cells = [cell.cell_contents for cell in part.__closure__ or ()]
        code = part.__code__
        constants = [value for value in code.co_consts if not isinstance(value, types.CodeType)]
        inner = [value.co_code for value in code.co_consts if isinstance(value, types.CodeType)]
        made_of = [code.co_code, *code.co_names, *constants, *inner, *(part.__defaults__ or ()), *cells]
        return f"function {part.__module__}.{part.__qualname__}", made_of
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return _name(type(part)), [getattr(part, item.name, None) for item in dataclasses.fields(part)]
    if isinstance(part, dict):
        return "dict", _pairs(part)
    if isinstance(part, tuple | list | set | frozenset):
        return type(part).__name__, sorted(part, key=repr) if isinstance(part, set | frozenset) else list(part)
    if isinstance(part, types.ModuleType):
        return f"module {part.__name__}", []
    if isinstance(part, type):
        return f"type {_name(part)}", []
    if isinstance(part, bool | int | float | complex | str | bytes | np.generic | types.NoneType):
        return f"{type(part).__name__} {part!r}", []
    if hasattr(part, "__dict__"):
        return _name(type(part)), _pairs(vars(part))
    return f"{_name(type(part))} {getattr(part, '__name__', '')}", []


def _pairs(mapping: dict[str, Any]) -> list[Any]:
    return [one for name in sorted(mapping) for one in (name, mapping[name])]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
