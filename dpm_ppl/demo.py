"""The main job in small: digits and swiss roll, fitted, scored and drawn in a few minutes on two cores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from dpm_ppl import declaring, runs
from dpm_ppl._errors import InputError
from dpm_ppl._files import replacing
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.experiment import Experiment
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.programs import Method, sample_from
from dpm_ppl.scores import Scores
from dpm_ppl.tables import print_scores

UPDATES = {"digits": 400, "swissroll": 3_000}
NUM_IMAGES, NUM_BESIDE = 64, 60
NUM_DRAWS = 1  # of noise per datum: the spread over data outweighs that over draws
PICTURES = {"digits": "samples.png", "swissroll": "figure1.png", "heartbeat": "figure2.png"}


def run_demo(out: Path, print_json: Callable[[Any], None] | None) -> None:
    """Fit each experiment of the demo below `out`, or go on with it, and show what came of it.

    Prints the table, or hands one object with the scores and the files of the pictures to `print_json`.
    """
    if runs.is_run(out):
        raise InputError(
            "--out", expected="a directory to hold runs", got=f"{out}, which is a run itself", remedy="name another"
        )
    console = Console(stderr=True, highlight=False)
    scores: dict[str, Scores] = {}
    pictures: dict[str, str] = {}
    for name, num_updates in UPDATES.items():
        console.print(f"{name}: {num_updates:,} updates")
        path = out / name
        with runs.alone(path):
            exists = runs.is_run(path)
            if exists:
                run = runs.open_run(path, "--out")
                runs.check_continues(run, experiment=name)
                experiment = run.declare(EXPERIMENTS)
            else:
                experiment = declaring.declare(EXPERIMENTS, name, {})
                run = runs.create(path, experiment, num_updates=num_updates)
            result = runs.fit(run, experiment, resume=exists)
        diffusion = experiment.method.with_params(result.params)
        scores[name] = runs.score_heldout(run, experiment, diffusion, num_draws=NUM_DRAWS)
        pictures[name] = str(draw_picture(run, experiment, diffusion))
    if print_json is not None:
        print_json({name: {**score.as_json(), "picture": pictures[name]} for name, score in scores.items()})
        return
    print_scores(scores)
    for name, picture in pictures.items():
        print(f"{name}: {picture}")


def draw_picture(run: runs.Run, experiment: Experiment, method: Method) -> Path | None:
    """What `picture_of` draws, in the run's directory."""
    if run.experiment not in PICTURES:
        return None
    from matplotlib import pyplot  # takes a second to import, as does what follows

    pyplot.switch_backend("agg")  # a file needs no display
    collection = picture_of(run, experiment, method)
    target = run.pictures / PICTURES[run.experiment]
    run.pictures.mkdir(exist_ok=True)
    figure = collection.viz["figure"].item()
    with replacing(target) as file:
        figure.savefig(file, format="png", dpi=150)
    pyplot.close(figure)
    return target


def picture_of(run: runs.Run, experiment: Experiment, method: Method) -> Any:
    """Digits; for a diffusion of the swiss roll the paper's figure 1, for one of the heartbeat its figure 2.

    A Matplotlib `PlotCollection`: another method's draws beside the data, and None for an experiment that has no
    picture of its own.
    """
    from dpm_ppl.analysis.plots.draws import plot_draws
    from dpm_ppl.analysis.plots.grids import plot_image_grid
    from dpm_ppl.analysis.plots.raster import plot_figure_two
    from dpm_ppl.analysis.plots.slices import plot_figure_one

    key = jax.random.key(run.seed)
    if run.experiment not in PICTURES:
        return None
    if run.experiment == "digits":
        images = experiment.heldout.units.as_given(np.asarray(sample_from(method, key, NUM_IMAGES)))
        return plot_image_grid(images, title="Digits drawn from the model", backend="matplotlib")
    rows = experiment.heldout.rows(np.arange(2000))
    if not isinstance(method, Diffusion):
        draws = np.asarray(sample_from(method, key, NUM_BESIDE))
        return plot_draws({"held-out data": rows[:NUM_BESIDE], run.name: draws}, backend="matplotlib")
    if run.experiment == "swissroll":
        return plot_figure_one(method, rows, key, backend="matplotlib")
    return plot_figure_two(method, key, backend="matplotlib")
