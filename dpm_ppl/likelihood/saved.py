"""The file that an estimate is kept in, so that it can be finished after an interruption, or extended."""

import os
from pathlib import Path

import jax
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import intact, replacing, whole_archive
from dpm_ppl.likelihood.running import RunningWeights

FORMAT, OLD_FORMAT = "dpm_ppl running weights 2", "dpm_ppl running weights 1"
NAME_IN_FILE = "rungs_", "group_means_"
"""How files made before call the means of groups of draws, and how they are called now."""


def write_weights(path: str | os.PathLike[str], identity: str, kept: list[RunningWeights]) -> None:
    """All of `kept` to `path`; `identity` says what they are the weights of."""
    arrays = {
        f"{place}/{name}": array for place, weights in enumerate(kept) for name, array in weights.arrays().items()
    }
    with replacing(Path(path)) as file:
        np.savez(
            file,
            allow_pickle=False,
            format=np.array(FORMAT),
            jax=np.array(jax.__version__),
            identity=np.array(identity),
            **arrays,
        )


def read_weights(
    path: str | os.PathLike[str] | None, identity: str, seed: int, num_chunks: int
) -> list[RunningWeights] | None:
    """What `write_weights` has kept, or None where there is no file yet.

    **Raises:** `InputError` for a damaged or foreign file or one of an older version, and for the weights of something
    else, which they are for another version of JAX too where it traces the program otherwise.
    """
    if path is None or not Path(path).exists():
        return None
    expected = f"a file written by log_likelihood in {path}"
    with intact("checkpoint", expected=expected, remedy="delete it, or name another"):
        with whole_archive(Path(path)) as archive:
            arrays = dict(archive)
        form = str(arrays.pop("format"))
        if form not in (FORMAT, OLD_FORMAT):
            raise KeyError("format")
        found = str(arrays.pop("identity"))
        version = str(arrays.pop("jax", ""))
    if form == OLD_FORMAT or found != identity:
        older = f"those of an older version, which did not know what they are of, in {path}"
        other = f"those of something else in {path}"
        if version != jax.__version__:
            other = f"{other}, or of the same traced by JAX {version}"
        raise InputError(
            "checkpoint",
            expected="the weights of this method, these data, this key, proposal and data_chunk",
            got=older if form == OLD_FORMAT else other,
            remedy="name another file, or delete this one, and they are drawn anew",
        )
    chunks: list[dict[str, np.ndarray]] = [{} for _ in range(num_chunks)]
    for name, array in arrays.items():
        place, _, item = name.partition("/")
        chunks[int(place)][item.replace(*NAME_IN_FILE)] = array
    return [RunningWeights.from_arrays(chunk, seed) for chunk in chunks]
