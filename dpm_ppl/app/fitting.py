"""Several runs one after the other: each fitted in its directory, or gone on with where it stands."""

import sys
from pathlib import Path

from dpm_ppl.app import runs
from dpm_ppl.experiments import Experiment


def fit_in(
    path: Path, experiment: Experiment, label: str, num_updates: int | None = None, *, with_notices: bool = True
) -> runs.Run:
    """The run of the experiment fitted in a directory; what is finished there is not fitted again.

    **Raises:** `InputError` where the fit there is another one, and `KeyboardInterrupt` after saving.
    """
    with runs.alone(path):
        exists = runs.is_run(path)
        if exists:
            run = runs.open_run(path, "--out")
            asked = experiment.options.recorded()
            runs.check_continues(run, experiment=experiment.name, seed=experiment.seed, updates=num_updates, **asked)
        else:
            run = runs.create(path, experiment, num_updates=num_updates or experiment.recipe.num_updates)
        if runs.updates_done(run) < run.num_updates:
            print(f"{label}: {run.num_updates:,} updates", file=sys.stderr)
            for notice in experiment.task.notices if with_notices and not exists else ():
                print(notice, file=sys.stderr)
            runs.fit(run, experiment, resume=exists)
    return run
