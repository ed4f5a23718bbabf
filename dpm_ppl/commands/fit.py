"""`dpm-ppl fit`."""

import sys
from pathlib import Path

from dpm_ppl.commands._arguments import INTERRUPTED, Name


def fit(
    experiment: Name,
    *,
    out: Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    updates: int | None = None,
    method: str | None = None,
    variant: str | None = None,
    edge: str | None = None,
    num_steps: int | None = None,
    noise: float | None = None,
    pi: float | None = None,
    data: Path | None = None,
    kernel: str | None = None,
    levels: int | None = None,
    json: bool = False,
) -> None:
    """Fit an experiment in a run directory, print its held-out bound and draw its picture.

    Args:
        experiment: digits, swissroll, heartbeat, or array for data of your own.
        out: Run directory; runs/EXPERIMENT if not given.
        resume: Go on with the run in that directory, bit for bit; other options may be left out.
        seed: Of the data or which are held out, the initial network, and the training; 0 if not given.
        updates: Updates of the optimiser; the experiment's own number if not given.
        method: "diffusion" if not given; or "vae", "iwae", "hvae", "flow", "mixture" or "gaussian".
        variant: "default", or "paper" for the paper's own configuration.
        edge: "fixed" (the paper's last step) or "learned".
        num_steps: T, the steps of the diffusion.
        noise: Noise around the swiss roll.
        pi: Stationary rate of bits.
        data: The .npy file of "array".
        kernel: "gaussian" or "bernoulli", for "array".
        levels: Number of levels of "array" data, if they are whole numbers.
        json: Print one JSON object.
    """
    from dpm_ppl import reporting, runs
    from dpm_ppl.demo import draw_picture
    from dpm_ppl.models import EXPERIMENTS

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
    if resume:
        run = runs.open_run(path, "--out")
        runs.check_continues(run, experiment=experiment, seed=seed, updates=updates, **given)
        declared = run.declare(EXPERIMENTS)
    else:
        declared = runs.declare(EXPERIMENTS, experiment, given, seed or 0)
        num_updates = declared.num_updates if updates is None else updates
        run = runs.create(path, declared, num_updates=num_updates)
    result = runs.fit(run, declared, resume=resume)
    if result.interrupted:
        print(f"interrupted; continue with: dpm-ppl fit {experiment} --out {path} --resume", file=sys.stderr)
        raise SystemExit(INTERRUPTED)
    trained = declared.method.with_params(result.params)
    reporting.report_scores(run, declared, trained, json)
    picture = draw_picture(run, declared, trained)
    if picture is not None:
        print(f"picture: {picture}", file=sys.stderr)
