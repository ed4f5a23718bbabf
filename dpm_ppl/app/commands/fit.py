"""`dpm-ppl fit`."""

import sys
from pathlib import Path

from dpm_ppl.app.commands._arguments import Name, RealOrNone, WholeOrNone


def fit(
    experiment: Name,
    *,
    out: Path | None = None,
    resume: bool = False,
    seed: WholeOrNone = None,
    updates: WholeOrNone = None,
    num_heldout: WholeOrNone = None,
    method: str | None = None,
    variant: str | None = None,
    edge: str | None = None,
    num_steps: WholeOrNone = None,
    noise: RealOrNone = None,
    pi: RealOrNone = None,
    data: Path | None = None,
    kernel: str | None = None,
    levels: WholeOrNone = None,
    scale: str | None = None,
    test_data: Path | None = None,
    heldout_share: RealOrNone = None,
    validation_share: RealOrNone = None,
    beta_1: RealOrNone = None,
    learning_rate: RealOrNone = None,
    batch_size: WholeOrNone = None,
    width: WholeOrNone = None,
    depth: WholeOrNone = None,
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
        num_heldout: Held-out data that the bound at the end looks at; all if not given.
        method: "diffusion" if not given; or "vae", "iwae", "hvae", "flow", "mixture" or "gaussian".
        variant: "default", or "paper" for the paper's own configuration.
        edge: "fixed" (the paper's last step) or "learned".
        num_steps: T, the steps of the diffusion.
        noise: Noise around the swiss roll.
        pi: Stationary rate of bits.
        data: The file of "array": a .npy file, or named columns in a .csv, .parquet or .npz file; with --resume, where
            it is now.
        kernel: "gaussian" or "bernoulli", for "array"; "bernoulli" for bits if not given.
        levels: Number of levels of "array" data, if they are whole numbers.
        scale: "columns" for one scale each, the default of vectors, or "pooled", that of images.
        test_data: Another file, whose data are held out in place of some of the first.
        heldout_share: Share of "array" data that is held out; a tenth if not given.
        validation_share: Share of the rest by which the parameters to keep are chosen; a tenth if not given.
        beta_1: Rate of the first step; by default chosen by the spread of "array" data.
        learning_rate: Of "array", 0.001 if not given.
        batch_size: Of "array", 256 if not given.
        width: Of the network of "array", by default chosen by the number of data.
        depth: Of the network of "array", 3 if not given.
        json: Print one JSON object.
    """
    from dpm_ppl.app import runs
    from dpm_ppl.app.console import reporting
    from dpm_ppl.app.pictures import draw_picture
    from dpm_ppl.experiments import declaring
    from dpm_ppl.experiments.experiment import scored_on
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
        "scale": scale,
        "test_data": None if test_data is None else str(test_data.resolve()),
        "heldout_share": heldout_share,
        "validation_share": validation_share,
        "beta_1": beta_1,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "width": width,
        "depth": depth,
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
    scored = scored_on(declared, num_heldout)
    with runs.alone(path):
        if run is None:
            if resume:
                print(f"there is no run in {path} yet: it begins now", file=sys.stderr)
            run = runs.create(path, declared, num_updates=updates or declared.num_updates)
            for notice in declared.notices:
                print(notice, file=sys.stderr)
        run = runs.extended(run, updates)
        if run.num_scheduled and runs.updates_done(run) < run.num_updates:
            rate = f"the learning rate stays at {TAIL:.0%} of its peak"
            print(f"beyond the {run.num_scheduled:,} updates first asked for, {rate}", file=sys.stderr)
        result = runs.fit(run, declared, resume=resume)
        if declared.validation is not None:
            print(runs.choice(result.metrics, declared.unit), file=sys.stderr)
    trained = declared.method.with_params(result.params)
    reporting.report_scores(run, scored, trained, json)
    picture = draw_picture(run, declared, trained)
    print(f"picture: {picture}", file=sys.stderr)
