"""A run that is opened once: its experiment, what it has trained, how far it got, and where what it cost is kept."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from dpm_ppl._common.errors import InputError
from dpm_ppl.app import runs
from dpm_ppl.app.directories import Run
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import DIFFUSION, check_range
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.models import EXPERIMENTS


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run, its experiment, the method with the trained parameters, and the number of updates behind these.

    `num_steps` is how many steps the method goes down the chain where that is fewer than it was trained with.
    """

    run: Run
    experiment: Experiment
    method: AbstractMethod
    num_updates_done: int
    num_steps: int | None = None

    @property
    def method_name(self) -> str:
        """Which of the methods it is."""
        return self.run.options.get("method", DIFFUSION)

    @property
    def standing(self) -> str:
        """Where its fit was stopped, in words; nothing where it has ended."""
        return self.run.standing(self.num_updates_done)

    @property
    def label(self) -> str:
        """The run's name, with the steps where these are fewer than it was trained with."""
        return self.run.name if self.num_steps is None else f"{self.run.name}, {self.num_steps:,} steps"

    def on_steps(self, num_steps: int | None) -> "OpenedRun":
        """The same with `num_steps` of its steps, by `Diffusion.strided`; with all if None.

        **Raises:** `InputError` where it is no diffusion, and for a number out of range.
        """
        if num_steps is None:
            return self
        diffusion = self.method.chain
        if diffusion is None:
            expected, got = "none, as the method has no steps", num_steps
            raise InputError("--num-steps", expected=expected, got=got, remedy="leave it out")
        check_range("--num-steps", num_steps, 2, diffusion.num_steps)
        if num_steps == diffusion.num_steps:
            return self
        return replace(self, method=diffusion.strided(num_steps), num_steps=num_steps)

    @property
    def _suffix(self) -> str:
        """The end of the name of a file of what it says."""
        steps = "" if self.num_steps is None else f"-of-{self.num_steps}-steps"
        return f"{steps}-update-{self.num_updates_done}.npz"

    def kept_scores(self, num_draws: int, num_sampled_steps: int | None = None) -> Path | None:
        """The file of the draws of K; None in a directory that may only be read."""
        folder, num_points = self.run.path / "scores", self.experiment.task.heldout.num_points
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            return None
        sampled = "" if num_sampled_steps is None else f"-sampled-{num_sampled_steps}"
        name = f"heldout-{num_points}-draws-{num_draws}{sampled}{self._suffix}"
        return folder / name if os.access(folder, os.W_OK) else None

    def kept_weights(self, of: str, num_points: int, proposal: str) -> Path:
        """The file of the sums of importance weights `of` the data that are "heldout" or "simulated"."""
        folder = self.run.path / "likelihood"
        folder.mkdir(exist_ok=True)
        return folder / f"{of}-{num_points}-{proposal}{self._suffix}"


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
