"""The sums of an estimate in a file, so that it can be finished after an interruption, or extended."""

import os
from pathlib import Path

import numpy as np

from dpm_ppl._errors import InputError
from dpm_ppl._files import replacing, whole_archive
from dpm_ppl.likelihood.running import RunningWeights

FORMAT = "dpm_ppl running weights 1"


def write_weights(path: str | os.PathLike[str], identity: str, kept: list[RunningWeights]) -> None:
    """All of `kept` to `path`; `identity` says what they are the weights of."""
    arrays = {
        f"{place}/{name}": array for place, weights in enumerate(kept) for name, array in weights.arrays().items()
    }
    with replacing(Path(path)) as file:
        np.savez(file, allow_pickle=False, format=np.array(FORMAT), identity=np.array(identity), **arrays)


def read_weights(
    path: str | os.PathLike[str] | None, identity: str, seed: int, num_chunks: int
) -> list[RunningWeights] | None:
    """What `write_weights` has kept, or None where there is no file yet.

    **Raises:** `InputError` for a damaged or foreign file, and for the weights of something else.
    """
    if path is None or not Path(path).exists():
        return None
    try:
        with whole_archive(Path(path)) as archive:
            arrays = dict(archive)
        if str(arrays.pop("format")) != FORMAT:
            raise KeyError("format")
        found = str(arrays.pop("identity"))
    except Exception as failure:  # a damaged archive fails in many ways, all of which mean the same
        raise InputError(
            "checkpoint",
            expected="a file written by log_likelihood",
            got=f"a damaged or foreign one, {path} ({type(failure).__name__})",
            remedy="delete it, or name another",
        ) from failure
    if found != identity:
        raise InputError(
            "checkpoint",
            expected="the weights of this method, these data, this key, proposal and data_chunk",
            got=f"those of something else in {path}",
            remedy="name another file, or delete this one",
        )
    chunks: list[dict[str, np.ndarray]] = [{} for _ in range(num_chunks)]
    for name, array in arrays.items():
        place, _, item = name.partition("/")
        chunks[int(place)][item] = array
    return [RunningWeights.from_arrays(chunk, seed) for chunk in chunks]
