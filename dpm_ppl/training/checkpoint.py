"""Checkpoints: a pytree of arrays and a JSON-able `meta` in one file, written whole or not at all.

A file is a NumPy `.npz` archive without pickle: one member per leaf, named by its path in the pytree, and one member
`header`, a JSON text with the format, its version, the shape and dtype of every leaf, and `meta`. A reader needs only
`numpy.load`. Floats outside NumPy's own (bfloat16) are stored as their bits, typed PRNG keys as their key data.
"""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import intact, replacing, whole_archive

FORMAT = "dpm_ppl checkpoint"
VERSION = 1
KEPT = 2
_HEADER = "header"
_SERIES = "update-*.npz"


def save(path: str | os.PathLike[str], tree: Any, meta: dict[str, Any]) -> None:
    """Writes `tree` and `meta` to `path`, atomically: after a crash the file is the old one or the new one.

    `meta` holds what `json` can write; floats come back bit for bit.
    """
    path = Path(path)
    leaves = _leaves(tree)
    described = {name: _describe(leaf) for name, leaf in leaves.items()}
    header = {"format": FORMAT, "version": VERSION, "leaves": described, "meta": meta}
    arrays = {name: _to_numpy(leaf) for name, leaf in leaves.items()}
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **{_HEADER: np.array(json.dumps(header))}, **arrays)


def load(path: str | os.PathLike[str], like: Any) -> tuple[Any, dict[str, Any]]:
    """The tree and the meta in `path`; the tree has the structure of `like`, whose values are not used.

    Raises `InputError` where the file is missing, damaged, not a checkpoint of this format and version, or the
    checkpoint of something else: other leaves, shapes or dtypes than `like`.
    """
    path = Path(path)
    with _open(path) as archive:
        header = _read_header(path, archive)
        wanted = _leaves(like)
        _compare(path, header["leaves"], {name: _describe(leaf) for name, leaf in wanted.items()})
        leaves = [_from_numpy(archive[name], header["leaves"][name]) for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), header["meta"]


def read_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `meta` of a checkpoint, whatever tree it holds. Raises `InputError` as `load` does."""
    path = Path(path)
    with _open(path) as archive:
        return _read_header(path, archive)["meta"]


def save_in(directory: str | os.PathLike[str], num_updates: int, tree: Any, meta: dict[str, Any]) -> Path:
    """Saves the checkpoint of update `num_updates`, then removes all but the newest two. Returns the file."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / _SERIES.replace("*", f"{num_updates:012d}")
    save(path, tree, meta)
    for outdated in sorted(directory.glob(_SERIES))[:-KEPT]:
        outdated.unlink(missing_ok=True)
    return path


def updates_of(path: Path) -> int:
    """The number of updates behind a checkpoint made by `save_in`."""
    return int(path.stem.rpartition("-")[2])


def latest(directory: str | os.PathLike[str]) -> Path | None:
    """The newest readable checkpoint in `directory`, or None where there is none yet; warns of newer, damaged ones.

    Raises `InputError` where there are checkpoints but none can be read.
    """
    failures: list[InputError] = []
    for path in sorted(Path(directory).glob(_SERIES), reverse=True):
        try:
            read_meta(path)
        except InputError as failure:
            failures.append(failure)
            continue
        for failure in failures:
            warnings.warn(f"{failure.argument} is {failure.got}; going on from {path.name}", stacklevel=2)
        return path
    if failures:
        raise failures[0]
    return None


def _leaves(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(leaf: Any) -> dict[str, Any]:
    dtype = f"key:{jax.random.key_impl(leaf)}" if _is_key(leaf) else str(jnp.result_type(leaf))
    return {"shape": list(jnp.shape(leaf)), "dtype": dtype}


def _to_numpy(leaf: Any) -> np.ndarray:
    if _is_key(leaf):
        return np.asarray(jax.random.key_data(leaf))
    array = np.asarray(leaf, dtype=jnp.result_type(leaf))
    return array.view(f"u{array.itemsize}") if array.dtype.isbuiltin != 1 else array


def _from_numpy(array: np.ndarray, description: dict[str, Any]) -> jax.Array:
    kind, _, implementation = description["dtype"].partition(":")
    if kind == "key":
        return jax.random.wrap_key_data(jnp.asarray(array), impl=implementation)
    return jnp.array(array.view(jnp.dtype(kind)))  # a copy of its own, so that it may be donated


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The members of a checkpoint file, after every one of them has passed its checksum."""
    if not path.is_file():
        raise InputError(
            str(path), expected="a checkpoint file", got="no such file", remedy="check the path or train first"
        )
    with contextlib.ExitStack() as stack:
        with intact(str(path), expected="a whole checkpoint file", remedy="use an older checkpoint or train again"):
            archive = stack.enter_context(whole_archive(path))
        yield archive


def _read_header(path: Path, archive: Any) -> dict[str, Any]:
    try:
        header = json.loads(str(archive[_HEADER]))
        found = f"{header['format']} version {header['version']}"
    except (KeyError, TypeError, ValueError):
        found = "another kind of archive"
    expected = f"{FORMAT} version {VERSION}"
    if found != expected:
        raise InputError(
            str(path), expected=expected, got=found, remedy="give a checkpoint written by this version of dpm_ppl"
        )
    return header


def _compare(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    names = [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    if names:
        first = names[0]

        def text(description: dict[str, Any] | None) -> str:
            return "none" if description is None else f"{description['dtype']}{tuple(description['shape'])}"

        raise InputError(
            str(path),
            expected=f"leaf {first} to be {text(wanted.get(first))}",
            got=f"{text(found.get(first))} ({len(names)} of {len(wanted)} leaves differ)",
            remedy="load it with the model, guide and optimiser that it was saved from",
        )
