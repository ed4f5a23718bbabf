"""A run that is opened once: its experiment, what it has trained, how far it got, and where what it cost is kept."""

import os
from dataclasses import dataclass
from pathlib import Path

from dpm_ppl._common.errors import InputError
from dpm_ppl.app import runs
from dpm_ppl.app.directories import Run
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import DIFFUSION
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.models import EXPERIMENTS


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run, its experiment, the method with the trained parameters, and the number of updates behind these."""

    run: Run
    experiment: Experiment
    method: AbstractMethod
    num_updates_done: int

    @property
    def method_name(self) -> str:
        """Which of the methods it is."""
        return self.run.options.get("method", DIFFUSION)

    @property
    def standing(self) -> str:
        """Where its fit was stopped, in words; nothing where it has ended."""
        return self.run.standing(self.num_updates_done)

    def kept_scores(self, num_draws: int, num_sampled_steps: int | None = None) -> Path | None:
        """The file of the draws of K; None in a directory that may only be read."""
        folder, num_points = self.run.path / "scores", self.experiment.task.heldout.num_points
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            return None
        steps = "" if num_sampled_steps is None else f"-steps-{num_sampled_steps}"
        name = f"heldout-{num_points}-draws-{num_draws}{steps}-update-{self.num_updates_done}.npz"
        return folder / name if os.access(folder, os.W_OK) else None

    def kept_weights(self, of: str, num_points: int, proposal: str) -> Path:
        """The file of the sums of importance weights `of` the data that are "heldout" or "simulated"."""
        folder = self.run.path / "likelihood"
        folder.mkdir(exist_ok=True)
        return folder / f"{of}-{num_points}-{proposal}-update-{self.num_updates_done}.npz"


def open_trained(path: Path, data: Path | None = None, num_heldout: int | None = None) -> OpenedRun:
    """The run in a directory, of whose held-out data the first `num_heldout` are looked at, or all.

    `data` says where its data are now, if they are no longer where they were.

    **Raises:** `InputError` where there is no run, no checkpoint, or other data.
    """
    run = runs.open_run(path)
    experiment = run.declare(EXPERIMENTS, data).scored_on(num_heldout)
    return OpenedRun(run, experiment, *runs.trained(run, experiment))


def load_to_draw(run: Run, experiment: Experiment, data: Path | None) -> OpenedRun:
    """The run with what it has trained, for all that only draws; see `Run.declare_to_draw`.

    **Raises:** `InputError` where there is no checkpoint, or its shape is known from missing data alone.
    """
    try:
        return OpenedRun(run, experiment, *runs.trained(run, experiment))
    except InputError as error:
        if data is not None or run.missing is None:
            raise
        raise InputError(
            "--data",
            expected=f"the data, from which {run.name} has its shape",
            got=f"no file {run.missing}",
            remedy="say where they are now: --data FILE",
        ) from error
