"""`dpm-ppl paper`: the paper's tables and figures made again, a run directory for each row."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dpm_ppl import experiments
from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl._common.files import make_folder
from dpm_ppl.analysis.page.page import check_page
from dpm_ppl.app import runs
from dpm_ppl.app.console.reporting import print_table
from dpm_ppl.app.evaluating import evaluate_run
from dpm_ppl.app.fitting import fit_in
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.app.pages.writing import check_target
from dpm_ppl.app.paper.made import Made
from dpm_ppl.app.paper.page import missing, table_of, write
from dpm_ppl.app.paper.parzen import parzen_of
from dpm_ppl.app.paper.restoring import restored_by
from dpm_ppl.app.pictures import draw_picture
from dpm_ppl.evaluation.parzen import NUM_SAMPLES
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import flag
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.models.paper import QUICK_SAMPLES, QUICK_STEPS, ROWS, Row

PAGE = "paper.html"


def make_paper(
    out: Path,
    *,
    quick: bool,
    data_folder: Path | None,
    print_json: Callable[[Any], None] | None,
    rows: Sequence[Row] = ROWS,
) -> None:
    """Fit and score every row below `out`, or go on with what is there; print the table and write the page.

    What is finished is kept. `print_json` is handed one object in place of the table.
    """
    check_page()
    if runs.is_run(out):
        raise InputError(
            "--out", expected="a directory to hold runs", got=f"{out}, which is a run itself", remedy="name another"
        )
    make_folder(out, "--out")
    check_target(out / PAGE)
    made = [_made(row, out / row.name, quick, data_folder) for row in rows]
    print("drawing the page", file=sys.stderr)
    write(out / PAGE, made)
    if print_json is not None:
        print_json({"page": str(out / PAGE), "rows": [one.as_json() for one in made]})
        return
    print_table(table_of(made))
    for line in missing(made):
        Console(highlight=False, soft_wrap=True).print(line, markup=False)
    print(f"page: {out / PAGE}")


def _made(row: Row, path: Path, quick: bool, data_folder: Path | None) -> Made:
    found = declared(row, data_folder)
    if isinstance(found, str):
        return Made(row=row, reason=found)
    if quick and found.task.heldout.units.num_pixels is not None:
        found = replace(found, task=replace(found.task, num_sampled_steps=QUICK_STEPS))
    try:
        run = fit_in(path, found, row.name, row.quick_updates if quick else None)
    except TrainingError as error:
        return Made(row=row, reason=str(error))
    scored = found
    if quick:
        scored = found.scored_on(min(row.quick_heldout, found.task.heldout.num_points))
    trained = OpenedRun(run, scored, *runs.trained(run, found))
    scores = evaluate_run(trained).scores
    one = row.per_unit(found.task.heldout.event_shape)
    picture = run.pictures / f"{found.task.picture}.png"
    return Made(
        row=row,
        K=scores.K / one,
        exact=None if scores.exact is None else scores.exact / one,
        bits_per_dim=scores.bits_per_dim,
        seconds=next((line["seconds"] for line in reversed(runs.metrics(trained.run))), None),
        parzen=parzen_of(trained, QUICK_SAMPLES if quick else NUM_SAMPLES) if row.has_parzen_window else None,
        picture=picture if picture.is_file() else draw_picture(run, found, trained.method),
        restored=restored_by(trained),
        trained=trained,
    )


def declared(row: Row, data_folder: Path | None) -> Experiment | str:
    """The experiment of a row, or why there is none and what to do."""
    if row.experiment not in EXPERIMENTS:
        return f"this version has no experiment {row.experiment}"
    options = {"variant": row.variant, **row.options}
    if row.needs_files:
        folder = None if data_folder is None else data_folder / row.experiment
        if folder is None or not folder.is_dir():
            where = f"FOLDER/{row.experiment}" if folder is None else folder
            return f"needs --data-folder FOLDER, with the files of the data in {where}"
        options["data_folder"] = str(folder.resolve())
    try:
        return experiments.declare(EXPERIMENTS, row.experiment, options)
    except InputError as error:
        return f"{flag(error.argument)}: expected {error.expected}, got {error.got}; {error.remedy}"
