"""Importance weights of a run's held-out data, kept in its directory."""

from pathlib import Path

import jax

from dpm_ppl._errors import InputError
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.experiment import Experiment
from dpm_ppl.importance_scores import NUM_POINTS, PROPOSALS, ImportanceScores, importance_scores
from dpm_ppl.likelihood import Sandwich, sandwich
from dpm_ppl.runs import Run, check_range, updates_done
from dpm_ppl.scores import Scores


def check_weighing(experiment: Experiment, diffusion: Diffusion, num_points: int | None, proposal: str) -> int:
    """The number of held-out data that importance weights will look at.

    **Raises:** `InputError` for more data than there are, and for a proposal unknown or unfit for the kernel.
    """
    if proposal not in PROPOSALS:
        raise InputError(
            "--proposal", expected=f"one of {', '.join(PROPOSALS)}", got=repr(proposal), remedy="leave it out"
        )
    PROPOSALS[proposal].check(diffusion)
    most = experiment.heldout.num_points
    if num_points is not None:
        check_range("--num-points", num_points, 1, most)
    return min(NUM_POINTS, most) if num_points is None else num_points


def weigh_heldout(
    run: Run,
    experiment: Experiment,
    diffusion: Diffusion,
    scores: Scores,
    num_particles: int,
    num_points: int,
    proposal: str,
) -> ImportanceScores:
    """Importance-weighted scores of a trained diffusion, whose weights are kept in the run directory."""
    return importance_scores(
        diffusion,
        experiment.heldout,
        scores,
        jax.random.fold_in(jax.random.key(run.seed), 3),
        num_particles=num_particles,
        num_points=num_points,
        proposal=proposal,
        checkpoint=_kept_weights(run, f"heldout-{num_points}-{proposal}"),
        progress=True,
    )


def sandwich_simulated(run: Run, diffusion: Diffusion, num_particles: int, num_points: int, proposal: str) -> Sandwich:
    """Bounds from both sides on `num_points` simulated data, with weights kept in the run directory."""
    return sandwich(
        diffusion,
        jax.random.fold_in(jax.random.key(run.seed), 4),
        num_points,
        num_particles,
        proposal=PROPOSALS[proposal],
        checkpoint=_kept_weights(run, f"simulated-{num_points}-{proposal}"),
        progress=True,
    )


def _kept_weights(run: Run, name: str) -> Path:
    folder = run.path / "likelihood"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError("run", expected="a directory to write to", got=error, remedy="copy the run") from error
    return folder / f"{name}-update-{updates_done(run)}.npz"
