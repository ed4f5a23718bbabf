"""`dpm-ppl posterior`."""

from pathlib import Path

from dpm_ppl.app.commands._arguments import Directory, RealOrNone, Whole, WholeOrNone


def posterior(
    run: Directory,
    *,
    observe: Path,
    likelihood: str,
    sigma: RealOrNone = None,
    rate: RealOrNone = None,
    method: str = "smc",
    num_particles: WholeOrNone = None,
    num_runs: WholeOrNone = None,
    num_draws: WholeOrNone = None,
    num_steps: WholeOrNone = None,
    seed: Whole = 0,
    out: Path | None = None,
    data: Path | None = None,
    json: bool = False,
) -> None:
    """Draw what was not observed, given what was: denoise data with the diffusion of a run, or fill them in.

    Writes the draws as a tree (posterior.nc), a picture and a page. Everything is in the units of the data.

    Args:
        run: A run directory.
        observe: A .npy file of one observation of the shape of a datum, or several along a first axis; NaN where
            nothing was observed.
        likelihood: "mask": what is not NaN is known exactly; "gaussian": with noise; "flip": some are flipped.
        sigma: Standard deviation of the noise of "gaussian", in the units of the data.
        rate: Share of them that are flipped under "flip".
        method: "smc", "gibbs" or "mcmc", which are right as they go on; "svi", which trains a guide for each
            observation and weights its draws; "twist", quick and approximate; or "paper", as published, and biased.
        num_particles: Particles of "smc" (1024 if not given) and of "gibbs" (32).
        num_runs: Runs of "smc" one after the other, pooled; 1 if not given.
        num_draws: Draws of each posterior; as many as the method makes by itself if not given.
        num_steps: Go down the chain of a diffusion in so many of its steps, evenly spread; in all if not given.
        seed: Seed of the draws.
        out: Directory of what is written; RUN/posterior if not given.
        data: The file of the data, where it is no longer where it was.
        json: Print one JSON object.
    """
    from dpm_ppl.app import runs
    from dpm_ppl.app.console.posteriors import print_posteriors
    from dpm_ppl.app.opened import load_to_draw
    from dpm_ppl.app.pages.posterior import Conditioned, check_folder, write_posteriors
    from dpm_ppl.app.posteriors.conditioning import diffusion_of, method_of
    from dpm_ppl.app.posteriors.observing import Noise, read_observed
    from dpm_ppl.experiments.options import LAST_SEED, check_range
    from dpm_ppl.models import EXPERIMENTS

    check_range("--seed", seed, 0, LAST_SEED)
    way = method_of(method, num_particles, num_runs, num_draws)
    noise = Noise(likelihood, sigma, rate)
    opened = runs.open_run(run)
    experiment = opened.declare_to_draw(EXPERIMENTS, data)
    units = experiment.task.heldout.units
    noise.check(units)
    observed = read_observed(observe, units, noise)
    trained = load_to_draw(opened, experiment, data).on_steps(num_steps)
    diffusion_of(trained)
    folder = check_folder(out or run / "posterior")
    asked = Conditioned(trained, observe, observed, noise, way, num_draws, seed)
    written = write_posteriors(asked, folder)
    print_posteriors(written, json)
    if written.interrupted:
        raise KeyboardInterrupt
