"""The main job in small: digits and swiss roll, fitted, scored and drawn in a few minutes on two cores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from dpm_ppl import runs
from dpm_ppl.chains import sample
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.scores import Scores
from dpm_ppl.tables import print_scores

UPDATES = {"digits": 400, "swissroll": 15_000}
NUM_IMAGES = 64


def run_demo(out: Path, print_json: Callable[[Any], None] | None) -> None:
    """Fit each experiment of the demo below `out`, or go on with it, and show what came of it.

    Prints the table, or hands one object with the scores and the files of the pictures to `print_json`.
    """
    console = Console(stderr=True, highlight=False)
    scores: dict[str, Scores] = {}
    pictures: dict[str, str] = {}
    for name, num_updates in UPDATES.items():
        console.print(f"{name}: {num_updates:,} updates")
        path = out / name
        experiment = runs.declare(EXPERIMENTS, name, {})
        exists = (path / "run.json").exists()
        run = runs.open_run(path) if exists else runs.create(path, experiment, seed=0, num_updates=num_updates)
        if runs.fit(run, experiment, resume=exists).interrupted:
            raise SystemExit(130)
        scores[name] = runs.score_heldout(run, experiment)
        pictures[name] = str(_draw_picture(run, experiment))
    if print_json is not None:
        print_json({name: {**score.as_json(), "picture": pictures[name]} for name, score in scores.items()})
        return
    print_scores(scores)
    for name, picture in pictures.items():
        print(f"{name}: {picture}")


def _draw_picture(run: runs.Run, experiment: runs.Experiment) -> Path:
    from dpm_ppl.analysis import pictures  # matplotlib takes a second to import

    diffusion = runs.trained(run, experiment)
    if run.experiment == "digits":
        drawn = np.asarray(sample(diffusion, jax.random.key(run.seed), NUM_IMAGES))
        figure = pictures.sample_grid(experiment.heldout.units.as_given(drawn), title="Digits drawn from the model")
    else:
        rows = experiment.heldout.rows(np.arange(2000))
        figure = pictures.figure_one(diffusion, rows, jax.random.key(run.seed))
    run.pictures.mkdir(exist_ok=True)
    target = run.pictures / ("samples.png" if run.experiment == "digits" else "figure1.png")
    figure.savefig(target, dpi=150)
    return target
