"""One budget of memory in bytes, from which the sizes of all chunks of work follow.

What a computation takes is read off JAX's trace of it: the most bytes that its arrays take at one time, each from where
it is made to where it is last used, and what a convolution needs beside them. That is within a factor of about 1.5 of
what is then allocated (`benchmarks/image_memory.py`), and costs no compilation. Arguments, a network's parameters among
them, are there anyway and count nothing.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jax.extend import core

from dpm_ppl._common.errors import InputError

_GIVEN: ContextVar[int | None] = ContextVar("memory budget", default=None)
_MOST_BY_DEFAULT = 2**30
"""More side by side makes nothing faster on a CPU, and little on a GPU."""
_SHARE = 8
"""One part in so many of the memory that there is."""
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
"""Where Linux says how much memory a container may use."""
_LOOPS = ("scan", "while")
_CONVOLUTION = "conv_general_dilated"


@contextlib.contextmanager
def memory_budget(size: int | float | str) -> Iterator[None]:
    """Within it, what is computed side by side takes at most about `size`: bytes, or a text such as "2GB" or "512MiB".

    All functions that are given many data, draws or steps and no item counts (`data_chunk`, `steps_chunk`,
    `particles_chunk`) choose these by it. Their results stay the same but for rounding. Without it the budget is an
    eighth of the device's memory, at most 1 GiB. Parameters, data and the libraries themselves come on top.

    **Raises:** `InputError` for a size that is none.
    """
    before = _GIVEN.set(num_bytes(size))
    try:
        yield
    finally:
        _GIVEN.reset(before)


def num_bytes(size: int | float | str, argument: str = "size") -> int:
    """The bytes of "2GB", "512 MiB" or a number."""
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([a-z]*)", str(size).strip().lower())
    try:
        number = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    except (ValueError, KeyError):
        number = 0
    if number < 1:
        raise InputError(
            argument, expected="bytes, or a text with a unit", got=repr(size), remedy="for example 2GB or 512MB"
        )
    return number


def budget() -> int:
    """Bytes that one chunk of work may take."""
    given = _GIVEN.get()
    return _default() if given is None else given


def sizes_within_budget(bytes_of: Callable[..., int], *sizes: tuple[int | None, int]) -> list[int]:
    """A size for each pair of what the user has given and a default: the former, else at most the latter.

    Those not given are cut down to powers of two, one after the other, until `bytes_of(*sizes)` is within the budget.
    """
    chosen = [default if given is None else given for given, default in sizes]
    for place, (given, _) in enumerate(sizes):
        while given is None and chosen[place] > 1 and (needed := bytes_of(*chosen)) > budget():
            # What does not grow with this size is why one cut may not be enough; it never cuts too much.
            share = max(chosen[place] * budget() // needed, 1)
            chosen[place] = min(_power_of_two(share), _power_of_two(chosen[place] - 1))
    return chosen


def size_within_budget(compute: Callable[..., Any], *arguments: Any, given: int | None, most: int) -> int:
    """The size for `compute(*arguments, size)`: the given one, else at most so many."""
    return sizes_within_budget(lambda size: peak_bytes(compute, *arguments, size), (given, most))[0]


def peak_bytes(compute: Callable[..., Any], *arguments: Any) -> int:
    """Bytes that what `compute(*arguments)` computes takes at most; arrays among them may be `ShapeDtypeStruct`s.

    What has been counted for arguments of the same shapes is not counted again under the same budget; a network may
    divide its batch by that.
    """
    leaves, treedef = jax.tree.flatten(arguments)
    return _peak_bytes(compute, budget(), treedef, *map(_without_values, leaves))


@lru_cache(maxsize=256)
def _peak_bytes(compute: Callable[..., Any], _: int, treedef: Any, *shapes: Any) -> int:
    return _peak(eqx.filter_make_jaxpr(compute)(*jax.tree.unflatten(treedef, shapes))[0].jaxpr)


def _without_values(leaf: Any) -> Any:
    if not eqx.is_array_like(leaf) or isinstance(leaf, bool | int | float | complex):
        return leaf
    return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype, allow_extended_dtype=True))


def _peak(jaxpr: Any) -> int:
    last_use: dict[Any, int] = {}
    for place, equation in enumerate(jaxpr.eqns):
        last_use |= dict.fromkeys(_variables(equation.invars), place)
    last_use |= dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
    held: dict[Any, int] = {}
    most = 0
    for place, equation in enumerate(jaxpr.eqns):
        made = {variable: _bytes(variable) for variable in equation.outvars}
        within = max(map(_peak, core.jaxprs_in_params(equation.params)), default=0)
        if equation.primitive.name == _CONVOLUTION:  # arranged anew by XLA; by measurement on a CPU
            within = 2 * sum(map(_bytes, {*_variables(equation.invars), *equation.outvars}))
        results = sum(made.values())
        # A loop fills its results while one turn of it runs; all else ends with them.
        now = results + within if equation.primitive.name in _LOOPS else max(results, within)
        most = max(most, sum(held.values()) + now)
        held |= made
        held = {variable: size for variable, size in held.items() if last_use.get(variable, -1) > place}
    return most


def _variables(atoms: Any) -> list[Any]:
    return [atom for atom in atoms if isinstance(atom, core.Var)]


def _bytes(variable: Any) -> int:
    return variable.aval.size * variable.aval.dtype.itemsize


def _power_of_two(number: int) -> int:
    """The largest of at most this number."""
    return 1 << number.bit_length() - 1


@cache
def _default() -> int:
    return min(_memory() // _SHARE, _MOST_BY_DEFAULT)


def _memory() -> int:
    """Of the device, else of the machine or container: all of it, so that what else runs there changes nothing."""
    known = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if known:
        return known
    sizes = [_SHARE * _MOST_BY_DEFAULT]
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(Path(path).read_text()))
    return min(sizes)
