"""Runs side by side: fit what is missing, measure each by the same protocol, compare."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from dpm_ppl import experiments
from dpm_ppl._common.errors import InputError
from dpm_ppl.app import runs
from dpm_ppl.app.evaluating import evaluate_run, particles_for
from dpm_ppl.app.fitting import fit_in
from dpm_ppl.app.opened import OpenedRun, open_trained
from dpm_ppl.evaluation import Measured
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import DIFFUSION
from dpm_ppl.models import EXPERIMENTS, METHODS

_CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)


def open_all(paths: Sequence[Path], data: Path | None = None, num_heldout: int | None = None) -> dict[str, OpenedRun]:
    """The runs in these directories, by method and, where two have the same, by directory; `data` where these are now.

    Of the held-out data only the first `num_heldout` are looked at, or all if None.

    **Raises:** `InputError` where there is no run, or two were fitted to different data.
    """
    opened = []
    for path in {path.resolve(): path for path in reversed(paths)}.values():
        opened.insert(0, open_trained(path, data, num_heldout))
    check_same_data({str(one.run.path): one.experiment for one in opened})
    names = [Counter(one.method_name for one in opened), Counter(_with_folder(one) for one in opened)]

    def name(one: OpenedRun) -> str:
        if names[0][one.method_name] == 1:
            return one.method_name
        return _with_folder(one) if names[1][_with_folder(one)] == 1 else f"{one.method_name}, {one.run.path}"

    return {name(one): one for one in opened}


def check_same_data(experiments: Mapping[str, Experiment]) -> None:
    """Raise `InputError` unless all have the same held-out data in the same units."""
    (first, reference), *others = experiments.items()
    for name, other in others:
        if not _same_data(reference, other):
            raise InputError(
                "run",
                expected=f"runs on the data of {first} ({reference.name})",
                got=f"{name} ({other.name}), whose held-out data are others",
                remedy="compare runs of one experiment with the same options for its data",
            )


def data_of(run: runs.Run) -> dict[str, Any]:
    """The options of a run that say what its data are."""
    names = {option.name for option in EXPERIMENTS[run.experiment].all() if not option.of_diffusion} - {"method"}
    kept = {name: value for name, value in run.options.items() if name in names}
    return kept


def declare_all(
    experiment: str, methods: Sequence[str], options: dict[str, Any], seed: int, *, without: Collection[str] = ()
) -> dict[str, Experiment]:
    """Methods on an experiment's data; if none are named, all that can model such data but those in `without`.

    **Raises:** `InputError` for an unknown experiment, option or method, and a named method that does not fit the data.
    """
    declared = {}
    for method in methods or [name for name in (DIFFUSION, *METHODS) if name not in without]:
        try:
            declared[method] = experiments.declare(EXPERIMENTS, experiment, options | {"method": method}, seed)
        except InputError as error:
            if methods or error.argument != "method":
                raise
            _CONSOLE.print(f"{method} is left out: expected {error.expected}, got {error.got}")
    return declared


def fit_all(declared: Mapping[str, Experiment], out: Path, *, updates: int | None = None) -> list[Path]:
    """Fit methods, each in its directory below `out`, or go on with what is there; returns their directories.

    **Raises:** `InputError` where a fit there is another one, and `KeyboardInterrupt` after saving.
    """
    for position, (method, one) in enumerate(declared.items()):
        fit_in(out / method, one, method, updates, with_notices=position == 0)
    return [out / method for method in declared]


def measure_run(
    opened: OpenedRun, num_particles: int, num_points: int | None, *, with_sandwich: bool = False
) -> Measured:
    """K of all held-out data and importance weights of some, kept in the run directory; Ctrl-C ends it, saved."""
    if opened.standing:
        _CONSOLE.print(opened.standing)
    particles = particles_for(opened.experiment, opened.method, num_particles, num_points)
    measured = evaluate_run(opened, particles, with_sandwich=with_sandwich)
    if measured.interrupted:
        raise KeyboardInterrupt
    return measured


def _with_folder(opened: OpenedRun) -> str:
    return f"{opened.method_name}, {opened.run.path.name}"


def _same_data(a: Experiment, b: Experiment) -> bool:
    one, other = a.task.heldout, b.task.heldout
    return (
        one.units.kind == other.units.kind
        and np.array_equal(one.source, other.source)
        and np.array_equal(one.units.scale, other.units.scale)
        and np.array_equal(one.units.shift, other.units.shift)
    )
