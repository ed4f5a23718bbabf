"""Importance weights of a run's held-out data, kept in its directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import alone_in
from dpm_ppl.app.runs import Run, updates_done
from dpm_ppl.evaluation.importance_scores import NUM_POINTS, weigh
from dpm_ppl.experiments.experiment import Experiment
from dpm_ppl.experiments.options import check_range
from dpm_ppl.likelihood import LogLikelihood, Sandwich, sandwich
from dpm_ppl.likelihood.proposals import PROPOSALS, check_proposal, default_proposal
from dpm_ppl.methods.base import AbstractMethod


def check_weighing(
    experiment: Experiment, method: AbstractMethod, num_points: int | None, proposal: str | None
) -> tuple[int, str]:
    """The number of held-out data that importance weights will look at, and how particles are drawn.

    **Raises:** `InputError` for more data than there are, and a proposal unknown or unfit for the method.
    """
    proposal = proposal or default_proposal(method)
    one_of("--proposal", proposal, PROPOSALS, "leave it out")
    check_proposal(PROPOSALS[proposal], method)
    most = experiment.task.heldout.num_points
    if num_points is not None:
        check_range("--num-points", num_points, 1, most)
    return min(NUM_POINTS, most) if num_points is None else num_points, proposal


def weigh_heldout(
    run: Run,
    experiment: Experiment,
    method: AbstractMethod,
    num_particles: int,
    num_points: int,
    proposal: str,
) -> LogLikelihood:
    """Importance weights of a trained method, kept in the run directory."""
    kept = _kept_weights(run, f"heldout-{num_points}-{proposal}")
    options: dict[str, Any] = {"num_particles": num_particles, "num_points": num_points, "proposal": proposal}
    return weigh(method, experiment.task.heldout, _key_of_weights(run), **options, checkpoint=kept, progress=True)


def weights_one_by_one(
    run: Run, experiment: Experiment, method: AbstractMethod, num_particles: int, num_points: int
) -> LogLikelihood:
    """The weights that `weigh_heldout` adds up, by the default proposal, drawn once more and kept one by one."""
    sizes = {"num_particles": num_particles, "num_points": num_points}
    return weigh(method, experiment.task.heldout, _key_of_weights(run), **sizes, keep_log_weights=True)


def sandwich_simulated(
    run: Run, method: AbstractMethod, num_particles: int, num_points: int, proposal: str
) -> Sandwich:
    """Bounds from both sides on `num_points` simulated data, with weights kept in the run directory."""
    return sandwich(
        method,
        jax.random.fold_in(jax.random.key(run.seed), 4),
        num_points,
        num_particles,
        proposal=PROPOSALS[proposal],
        checkpoint=_kept_weights(run, f"simulated-{num_points}-{proposal}"),
        progress=True,
    )


@contextlib.contextmanager
def alone(run: Run) -> Iterator[None]:
    """Keeps other processes from drawing weights for the run, so that none writes over those of another.

    **Raises:** `InputError` where one is at it, and where nothing can be written to the run directory.
    """
    folder = run.path / "likelihood"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError("run", expected="a directory to write to", got=error, remedy="copy the run") from error
    with alone_in(folder, "run"):
        yield


def _key_of_weights(run: Run) -> jax.Array:
    return jax.random.fold_in(jax.random.key(run.seed), 3)


def _kept_weights(run: Run, name: str) -> Path:
    folder = run.path / "likelihood"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}-update-{updates_done(run)}.npz"
