"""`dpm-ppl fit`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpm_ppl.app.commands._arguments import Name, WholeOrNone
from dpm_ppl.app.commands._options import as_text


def fit(
    experiment: Name,
    *,
    out: Path | None = None,
    resume: bool = False,
    seed: WholeOrNone = None,
    updates: WholeOrNone = None,
    patience: WholeOrNone = None,
    num_heldout: WholeOrNone = None,
    json: bool = False,
    options: Mapping[str, Any],
) -> None:
    """Fit an experiment in a run directory, print its held-out bound and draw its picture.

    `dpm-ppl fit EXPERIMENT --help` shows the options of that experiment too.

    Args:
        experiment: One that `dpm-ppl list` names; array is for data of your own.
        out: Run directory; runs/EXPERIMENT if not given.
        resume: Go on with the run in that directory, bit for bit, or begin it; if it has begun, other options may be
            left out.
        seed: Of the data or which are held out, the initial network, and the training; 0 if not given.
        updates: Updates of the optimiser; the experiment's own number if not given. With --resume more than before
            train on, at a tenth of the learning rate.
        patience: End early, once so many of the ten evaluations in a row have not raised K of the validation data;
            never if not given.
        num_heldout: Held-out data that the bound at the end looks at; all if not given.
        json: Print one JSON object.
        options: Those of the experiment that were given.
    """
    from dpm_ppl import experiments
    from dpm_ppl.app import runs
    from dpm_ppl.app.console import reporting
    from dpm_ppl.app.opened import OpenedRun
    from dpm_ppl.app.pictures import draw_picture
    from dpm_ppl.experiments.options import check_range
    from dpm_ppl.models import EXPERIMENTS
    from dpm_ppl.models._parts import TAIL

    given = as_text(options)
    path = out or Path("runs") / experiment
    if updates is not None:
        check_range("--updates", updates, 1)
    run = runs.open_run(path, "--out") if resume and runs.is_run(path) else None
    if run is None:
        declared = experiments.declare(EXPERIMENTS, experiment, given, seed or 0)
    else:
        fewer = updates if updates is not None and updates < run.num_updates else None
        runs.check_continues(run, experiment=experiment, seed=seed, updates=fewer, patience=patience, **given)
        declared = run.declare(EXPERIMENTS, options.get(run.files[0]) if run.files else None)
    scored = declared.scored_on(num_heldout)
    with runs.alone(path):
        if run is None:
            if resume:
                print(f"there is no run in {path} yet: it begins now", file=sys.stderr)
            run = runs.create(path, declared, num_updates=updates or declared.recipe.num_updates, patience=patience)
            for notice in declared.task.notices:
                print(notice, file=sys.stderr)
        run = runs.extended(run, updates)
        if run.num_scheduled and run.num_scheduled < run.num_updates and runs.updates_done(run) < run.num_updates:
            rate = f"the learning rate stays at {TAIL:.0%} of its peak"
            print(f"beyond the {run.num_scheduled:,} updates first asked for, {rate}", file=sys.stderr)
        result = runs.fit(run, declared, resume=resume)
        if (done := int(result.state.num_updates)) < run.num_updates:
            print(
                f"ended at update {done:,} of {run.num_updates:,}, as --patience {run.patience} says", file=sys.stderr
            )
            run = runs.ended(run, done)
        if declared.task.validation is not None:
            print(runs.choice(result.metrics, declared.task.unit), file=sys.stderr)
    trained = declared.recipe.method.with_params(result.params)
    reporting.report(OpenedRun(run, scored, trained, run.num_updates), json)
    picture = draw_picture(run, declared, trained)
    print(f"picture: {picture}", file=sys.stderr)
