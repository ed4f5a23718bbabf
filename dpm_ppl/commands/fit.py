"""`dpm-ppl fit`."""

import sys
from pathlib import Path

from dpm_ppl.commands._arguments import Name, RealOrNone, WholeOrNone


def fit(
    experiment: Name,
    *,
    out: Path | None = None,
    resume: bool = False,
    seed: WholeOrNone = None,
    updates: WholeOrNone = None,
    method: str | None = None,
    variant: str | None = None,
    edge: str | None = None,
    num_steps: WholeOrNone = None,
    noise: RealOrNone = None,
    pi: RealOrNone = None,
    data: Path | None = None,
    kernel: str | None = None,
    levels: WholeOrNone = None,
    json: bool = False,
) -> None:
    """Fit an experiment in a run directory, print its held-out bound and draw its picture.

    Args:
        experiment: digits, swissroll, heartbeat, or array for data of your own.
        out: Run directory; runs/EXPERIMENT if not given.
        resume: Go on with the run in that directory, bit for bit, or begin it; if it has begun, other options may be
            left out.
        seed: Of the data or which are held out, the initial network, and the training; 0 if not given.
        updates: Updates of the optimiser; the experiment's own number if not given. With --resume more than before
            train on, at a tenth of the learning rate.
        method: "diffusion" if not given; or "vae", "iwae", "hvae", "flow", "mixture" or "gaussian".
        variant: "default", or "paper" for the paper's own configuration.
        edge: "fixed" (the paper's last step) or "learned".
        num_steps: T, the steps of the diffusion.
        noise: Noise around the swiss roll.
        pi: Stationary rate of bits.
        data: The .npy file of "array"; with --resume, where it is now.
        kernel: "gaussian" or "bernoulli", for "array".
        levels: Number of levels of "array" data, if they are whole numbers.
        json: Print one JSON object.
    """
    from dpm_ppl import declaring, reporting, runs
    from dpm_ppl.demo import draw_picture
    from dpm_ppl.models import EXPERIMENTS
    from dpm_ppl.models._parts import TAIL

    options = {
        "method": method,
        "variant": variant,
        "edge": edge,
        "num_steps": num_steps,
        "noise": noise,
        "pi": pi,
        "data": None if data is None else str(data.resolve()),
        "kernel": kernel,
        "levels": levels,
    }
    given = {name: value for name, value in options.items() if value is not None}
    path = out or Path("runs") / experiment
    if updates is not None:
        declaring.check_range("--updates", updates, 1)
    run = runs.open_run(path, "--out") if resume and runs.is_run(path) else None
    if run is None:
        declared = declaring.declare(EXPERIMENTS, experiment, given, seed or 0)
    else:
        fewer = updates if updates is not None and updates < run.num_updates else None
        runs.check_continues(run, experiment=experiment, seed=seed, updates=fewer, **given)
        declared = run.declare(EXPERIMENTS, data)
    with runs.alone(path):
        if run is None:
            if resume:
                print(f"there is no run in {path} yet: it begins now", file=sys.stderr)
            run = runs.create(path, declared, num_updates=updates or declared.num_updates)
        run = runs.extended(run, updates)
        if run.num_scheduled and runs.updates_done(run) < run.num_updates:
            rate = f"the learning rate stays at {TAIL:.0%} of its peak"
            print(f"beyond the {run.num_scheduled:,} updates first asked for, {rate}", file=sys.stderr)
        result = runs.fit(run, declared, resume=resume)
    trained = declared.method.with_params(result.params)
    reporting.report_scores(run, declared, trained, json)
    picture = draw_picture(run, declared, trained)
    if picture is not None:
        print(f"picture: {picture}", file=sys.stderr)
