"""Draws of K in a file, so that a score that was interrupted goes on and one that is there is not computed again."""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import replacing, whole_archive
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.likelihood.fingerprint import computation, fingerprint

_SECONDS_BETWEEN_SAVES = 5.0
Values = dict[str, np.ndarray]


class KeptDraws:
    """The draws of one computation by number, each of values `(datum,)` by name; without a path, kept nowhere.

    A file of another computation is of no use and gives way to this one.
    """

    def __init__(self, path: str | os.PathLike[str] | None, identity: str):
        self.path, self.identity = None if path is None else Path(path), identity
        self._arrays = self._read()
        self._next_save = 0.0

    def __contains__(self, number: int) -> bool:
        return any(name.startswith(f"{number}/") for name in self._arrays)

    def __getitem__(self, number: int) -> Values:
        start = f"{number}/"
        return {name.removeprefix(start): array for name, array in self._arrays.items() if name.startswith(start)}

    def add(self, number: int, values: Values, *, last: bool) -> None:
        """Keeps a draw; it is in the file by the time of the last one, or after a few seconds."""
        self._arrays |= {f"{number}/{name}": array for name, array in values.items()}
        if self.path is None or not (last or time.monotonic() >= self._next_save):
            return
        with replacing(self.path) as file:
            np.savez(file, allow_pickle=False, identity=np.array(self.identity), **self._arrays)
        self._next_save = time.monotonic() + _SECONDS_BETWEEN_SAVES

    def _read(self) -> Values:
        if self.path is None or not self.path.exists():
            return {}
        try:
            with whole_archive(self.path) as archive:
                arrays = dict(archive)
            found = str(arrays.pop("identity"))
        except Exception as failure:  # a damaged archive fails in many ways, all of which mean the same
            warnings.warn(f"{self.path} is damaged ({failure}); its scores are computed anew", stacklevel=2)
            return {}
        return arrays if found == self.identity else {}


def identity_of(compute: Callable[..., Any], method: Any, rows: np.ndarray, key: PRNGKey, *sizes: int | None) -> str:
    """A digest of what `compute(method, datum, key)` does, and of all that it does it with; "" where none is known.

    None is known where the computation calls back to Python, which JAX does not see.
    """
    try:
        program = computation(compute, method, jnp.asarray(rows[0]), key)
    except InputError:
        return ""
    return fingerprint(program, jax.tree.leaves(eqx.filter(method, eqx.is_array)), rows, key, *sizes)
