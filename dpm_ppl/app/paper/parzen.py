"""The Parzen window of a run on images, with its draws kept: an hour's work on a CPU that is not to be lost."""

import json

import jax
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.evaluation.kept_scores import KeptDraws
from dpm_ppl.evaluation.parzen import NUM_VALIDATION, ParzenScore, parzen_score
from dpm_ppl.experiments.streams import Stream, key_of

AT_ONCE = 500
"""Draws between two looks at what is kept."""


def parzen_of(trained: OpenedRun, num_samples: int) -> ParzenScore:
    """The published protocol: levels from 0 to 1, a width chosen on validation images, the run's held-out ones scored.

    **Raises:** `InputError` for data without levels or validation data.
    """
    task, method = trained.experiment.task, trained.method
    if task.validation is None or task.heldout.units.num_levels is None:
        raise InputError(
            "run", expected="images with levels, and some to choose by", got=trained.run.name, remedy="use K instead"
        )
    units, top = task.heldout.units, task.heldout.units.num_levels - 1
    name = f"parzen-update-{trained.num_updates_done}.npz"
    kept = KeptDraws(trained.run.path / "scores" / name, json.dumps(trained.run.identity, sort_keys=True))
    key = key_of(trained.run.seed, Stream.PARZEN)
    starts = range(0, num_samples, AT_ONCE)
    for number, start in enumerate(starts):
        size = min(AT_ONCE, num_samples - start)
        if number not in kept or len(kept[number]["levels"]) < size:
            draws = units.as_given(np.asarray(method.sample(jax.random.fold_in(key, number), size)))
            kept.add(number, {"levels": draws}, last=number == len(starts) - 1)
    samples = np.concatenate([kept[number]["levels"] for number in range(len(starts))])[:num_samples]

    def pixels(data: Dataset, most: int | None = None) -> np.ndarray:
        return np.asarray(data.source[:most]) / top

    return parzen_score(samples / top, pixels(task.validation, NUM_VALIDATION), pixels(task.heldout))
