"""A run evaluated on its held-out data; what that costs is kept in its directory."""

import contextlib
from collections.abc import Callable, Iterator

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.files import alone_in, make_folder
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.evaluation import Files, Keys, Measured, Particles, Scores, evaluate, importance_weights
from dpm_ppl.evaluation.importance_scores import NUM_POINTS
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import check_range
from dpm_ppl.experiments.streams import Stream, key_of
from dpm_ppl.likelihood import LogLikelihood
from dpm_ppl.likelihood.proposals import PROPOSALS, check_proposal, default_proposal
from dpm_ppl.methods.base import AbstractMethod


def particles_for(
    experiment: Experiment,
    method: AbstractMethod,
    num_particles: int,
    num_points: int | None = None,
    proposal: str | None = None,
) -> Particles:
    """How importance weights will be drawn, with what is not given filled in.

    **Raises:** `InputError` for more data than there are, and a proposal unknown or unfit for the method.
    """
    proposal = proposal or default_proposal(method)
    one_of("--proposal", proposal, PROPOSALS, "leave it out")
    check_proposal(PROPOSALS[proposal], method)
    most = experiment.task.heldout.num_points
    if num_points is not None:
        check_range("--num-points", num_points, 1, most)
    return Particles(num_particles, min(NUM_POINTS, most) if num_points is None else num_points, proposal)


def evaluate_run(
    opened: OpenedRun,
    particles: Particles | None = None,
    *,
    with_sandwich: bool = False,
    num_draws: int | None = None,
    num_sampled_steps: int | None = None,
    on_scores: Callable[[Scores], None] | None = None,
) -> Measured:
    """What `dpm_ppl.evaluation.evaluate` says of a run; the same again draws nothing twice, more adds to what is there.

    **Raises:** `InputError` where another process draws weights for the run, or they cannot be kept.
    """
    task, seed = opened.experiment.task, opened.run.seed
    num_draws = task.num_draws if num_draws is None else num_draws
    sampled = task.num_sampled_steps if num_sampled_steps is None else num_sampled_steps
    with contextlib.nullcontext() if particles is None else _alone(opened):
        return evaluate(
            opened.method,
            task.heldout,
            Keys(*(key_of(seed, one) for one in (Stream.HELDOUT, Stream.WEIGHTS, Stream.SANDWICH))),
            num_draws=num_draws,
            num_sampled_steps=sampled,
            datum=task.datum,
            exact=task.exact,
            gaussian=task.gaussian,
            particles=particles,
            with_sandwich=with_sandwich,
            files=_files(opened, particles, num_draws, sampled),
            on_scores=on_scores,
            progress=True,
        )


def weights_one_by_one(opened: OpenedRun, num_particles: int, num_points: int) -> LogLikelihood:
    """The weights that an evaluation adds up, by the default proposal, drawn once more and kept one by one."""
    return importance_weights(
        opened.method,
        opened.experiment.task.heldout,
        key_of(opened.run.seed, Stream.WEIGHTS),
        num_particles=num_particles,
        num_points=num_points,
        keep_log_weights=True,
    )


def _files(opened: OpenedRun, particles: Particles | None, num_draws: int, num_sampled_steps: int | None) -> Files:
    scores = opened.kept_scores(num_draws, num_sampled_steps)
    if particles is None:
        return Files(scores)
    how = particles.num_points, particles.proposal or default_proposal(opened.method)
    return Files(scores, opened.kept_weights("heldout", *how), opened.kept_weights("simulated", *how))


@contextlib.contextmanager
def _alone(opened: OpenedRun) -> Iterator[None]:
    """Keeps other processes from drawing weights for the run, so that none writes over those of another."""
    folder = opened.run.path / "likelihood"
    make_folder(folder, "run", expected="a directory to write to", remedy="copy the run")
    with alone_in(folder, "run"):
        yield
