"""By how much the peak memory of a process grows in a call on many data, beside the same call on few.

Each call runs in a process of its own, as the peak of a process never falls.
"""

import gc
import multiprocessing
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from benchmarks import roll
from benchmarks.measurement import Measurement, peak_so_far
from dpm_ppl import Dataset, DiffusionELBO, sample
from dpm_ppl.evaluation.scores import score
from dpm_ppl.models import array
from dpm_ppl.training.loop import fit

NUM_SAMPLES = 200_000
NUM_SCORED, NUM_STEPS = 20_000, 1000


def measure() -> list[Measurement]:
    held = NUM_SCORED * NUM_STEPS * 4 / 1e6
    return [
        Measurement("memory of sample, MB", _in_child(_sample), 200, f"{NUM_SAMPLES:,} draws, width 256"),
        Measurement(
            "memory of score, MB",
            _in_child(_score),
            held / 2,
            f"{NUM_SCORED:,} data, T = {NUM_STEPS}: {held:.0f} MB in one array (datum, step)",
        ),
        Measurement("memory of a fit of a map, MB", _in_child(_map), 1000, "the whole process; a file of 1.26 GB"),
        Measurement("data sets that fit keeps", _kept(), 0, "of three, after the last reference is gone"),
    ]


def _sample() -> float:
    diffusion = roll.diffusion(10, width=256)
    return _growth(lambda num: np.asarray(sample(diffusion, jax.random.key(0), num)), 1000, NUM_SAMPLES)


def _score() -> float:
    diffusion = roll.diffusion(NUM_STEPS, width=8, depth=1)
    data = {num: Dataset.from_continuous(roll.points(num)) for num in (1000, NUM_SCORED)}
    return _growth(lambda num: score(diffusion, data[num], jax.random.key(0), num_draws=1), 1000, NUM_SCORED)


def _map() -> float:
    """Peak memory of a process that declares a large file as an experiment, and trains on it and scores a little."""
    with tempfile.TemporaryDirectory() as folder:
        path, shape = Path(folder) / "map.npy", (315_000, 1000)
        rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        for start in range(0, len(rows), 1000):
            rows[start : start + 1000] = np.random.default_rng(start).standard_normal((1000, 1000), np.float32)
            rows.flush()
            rows = np.lib.format.open_memmap(path, mode="r+")  # what has been written leaves the process
        del rows
        declared = array.Array(data=path, num_steps=20, width=8, depth=1).experiment()
        fit(
            declared.recipe.svi(2),
            declared.task.train,
            num_updates=2,
            batch_size=16,
            key=jax.random.key(0),
            progress=False,
        )
        score(declared.recipe.method, declared.task.heldout.part(slice(100)), jax.random.key(0), num_draws=1)
        return peak_so_far() / 1e6


def _growth(call: Callable[[int], object], few: int, many: int) -> float:
    """Megabytes of peak memory that many data take beyond what few have taken already."""
    peaks = []
    for num in (few, many):
        call(num)
        peaks.append(peak_so_far() / 1e6)
    return peaks[1] - peaks[0]


def _in_child(figure: Callable[[], float]) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(figure)


def _kept() -> float:
    svi = roll.svi(roll.diffusion(10, width=8, depth=1), DiffusionELBO(num_sampled_steps=1))

    def fitted() -> weakref.ref:
        data = Dataset.from_continuous(roll.points(1000))
        fit(svi, data, num_updates=2, batch_size=16, key=jax.random.key(0), progress=False)
        return weakref.ref(data)

    references = [fitted() for _ in range(3)]
    gc.collect()
    return float(sum(reference() is not None for reference in references))
