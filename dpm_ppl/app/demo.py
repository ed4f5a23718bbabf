"""`dpm-ppl demo`: digits and swiss roll, fitted, scored and drawn in a few minutes on two cores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpm_ppl import experiments
from dpm_ppl._common.errors import InputError
from dpm_ppl.app import runs
from dpm_ppl.app.console.tables import print_scores
from dpm_ppl.app.evaluating import evaluate_run
from dpm_ppl.app.fitting import fit_in
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.app.pictures import draw_picture
from dpm_ppl.evaluation.scores import Scores
from dpm_ppl.models import EXPERIMENTS

UPDATES = {"digits": 400, "swissroll": 3_000}
OPTIONS = {"digits": {"variant": "dense"}}  # whose layers take a quarter of the time of the default's
NUM_DRAWS = 1  # of noise per datum: the spread over data outweighs that over draws


def run_demo(out: Path, print_json: Callable[[Any], None] | None) -> None:
    """Fit each experiment of the demo below `out`, or go on with it, and show what came of it.

    Prints the table, or hands one object with the scores and the files of the pictures to `print_json`.
    """
    if runs.is_run(out):
        raise InputError(
            "--out", expected="a directory to hold runs", got=f"{out}, which is a run itself", remedy="name another"
        )
    scores: dict[str, Scores] = {}
    pictures: dict[str, str] = {}
    for name, num_updates in UPDATES.items():
        experiment = experiments.declare(EXPERIMENTS, name, OPTIONS.get(name, {}))
        run = fit_in(out / name, experiment, name, num_updates)
        opened = OpenedRun(run, experiment, *runs.trained(run, experiment))
        scores[name] = evaluate_run(opened, num_draws=NUM_DRAWS).scores
        pictures[name] = str(draw_picture(run, experiment, opened.method))
    if print_json is not None:
        print_json({name: {**score.as_json(), "picture": pictures[name]} for name, score in scores.items()})
        return
    print_scores(scores)
    for name, picture in pictures.items():
        print(f"{name}: {picture}")
