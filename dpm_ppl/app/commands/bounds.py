"""`dpm-ppl bounds`."""

from pathlib import Path

from dpm_ppl._common.errors import InputError
from dpm_ppl.app.commands._arguments import Directory, WholeOrNone


def bounds(
    run: Directory,
    *,
    num_draws: WholeOrNone = None,
    num_steps: WholeOrNone = None,
    num_sampled_steps: WholeOrNone = None,
    num_heldout: WholeOrNone = None,
    num_particles: WholeOrNone = None,
    num_points: WholeOrNone = None,
    proposal: str | None = None,
    sandwich: bool = False,
    data: Path | None = None,
    json: bool = False,
) -> None:
    """Print the held-out bound of a run, with L_null and, where it is known, the exact log-likelihood.

    With particles, the importance-weighted log-likelihood too. What they cost is kept in RUN/likelihood: the same
    command again goes on where it was stopped, and more particles are added to those there are.

    Args:
        run: A run directory.
        num_draws: Draws of noise per datum for K; the experiment's own number if not given.
        num_steps: Score the chain of a diffusion on so many of its steps, evenly spread; on all if not given.
        num_sampled_steps: Steps of each datum that K is estimated from, which says nothing of a single datum but all of
            a mean over many; the experiment's own number, mostly all T, if not given.
        num_heldout: Held-out data that K looks at; all if not given.
        num_particles: Importance-weighted estimates from so many particles per datum; a power of two makes the most of
            them, and what an earlier call has drawn beyond them stays.
        num_points: Held-out data that they look at; 100 if not given.
        proposal: How particles of a diffusion are drawn: "trajectories", "antithetic", "stratified" or "smc".
        sandwich: Bounds from both sides on as many data simulated from the model.
        data: The file of the data, where it is no longer where it was.
        json: Print one JSON object.
    """
    from dpm_ppl.app.console import reporting
    from dpm_ppl.app.evaluating import particles_for
    from dpm_ppl.app.opened import open_trained
    from dpm_ppl.experiments.options import check_range, flag

    sizes = {"num_draws": num_draws, "num_sampled_steps": num_sampled_steps}
    for name, number in (sizes | {"num_particles": num_particles, "num_points": num_points}).items():
        if number is not None:
            check_range(flag(name), number, 1)
    if num_particles is None and (num_points is not None or sandwich or proposal is not None):
        raise InputError(
            "--num-particles",
            expected="a number of particles, which --num-points, --proposal and --sandwich need",
            got="none",
            remedy="for example --num-particles 1000",
        )
    opened = open_trained(run, data, num_heldout).on_steps(num_steps)
    particles = None
    if num_particles is not None:
        particles = particles_for(opened.experiment, opened.method, num_particles, num_points, proposal)
    measured = reporting.report(opened, json, particles, with_sandwich=sandwich, **sizes)
    if measured.interrupted:
        raise KeyboardInterrupt
