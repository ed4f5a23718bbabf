"""`dpm-ppl paper`: the paper's tables and figures made again, a run directory for each row."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from dpm_ppl import experiments
from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl._common.files import make_folder
from dpm_ppl.analysis.page.page import PagePicture, PageSection, PageTerms, check_page, write_page
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.app import runs
from dpm_ppl.app.console.reporting import print_table
from dpm_ppl.app.evaluating import evaluate_run
from dpm_ppl.app.fitting import fit_in
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.app.pages.settings import settings
from dpm_ppl.app.pages.terms import TERMS
from dpm_ppl.app.pages.writing import check_target
from dpm_ppl.app.pictures import draw_picture
from dpm_ppl.estimates.standard_errors import Estimate
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import flag
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.models.paper import ROWS, Row

PAGE = "paper.html"
CAPTION = "K of held-out, standardised data: as published, and made again (mean ± standard error over data)"
NOTE = "limit: the highest K that any network could reach with these steps; exact: that of the data themselves"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A row as it was made again, its figures in the row's unit; or why it was not."""

    row: Row
    K: Estimate | None = None
    exact: Estimate | None = None
    bits_per_dim: Estimate | None = None
    seconds: float | None = None
    picture: Path | None = None
    trained: OpenedRun | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """One flat object."""
        row, figures = self.row, {name: getattr(self, name) for name in ("K", "exact", "bits_per_dim")}
        return {
            "data": row.data,
            "variant": row.variant,
            "published": row.published.value,
            "unit": row.published.unit,
            "limit": row.limit,
            **{name: None if figure is None else figure.as_json() for name, figure in figures.items()},
            "num_updates": None if self.trained is None else self.trained.run.num_updates,
            "seconds": self.seconds,
            "run": None if self.trained is None else str(self.trained.run.path),
            "picture": None if self.picture is None else str(self.picture),
            "not_measured": self.reason or None,
        }


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
    _write_page(out / PAGE, made)
    if print_json is not None:
        print_json({"page": str(out / PAGE), "rows": [one.as_json() for one in made]})
        return
    print_table(table_of(made))
    for line in _missing(made):
        Console(highlight=False, soft_wrap=True).print(line, markup=False)
    print(f"page: {out / PAGE}")


def _made(row: Row, path: Path, quick: bool, data_folder: Path | None) -> Made:
    found = declared(row, data_folder)
    if isinstance(found, str):
        return Made(row=row, reason=found)
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
        picture=picture if picture.is_file() else draw_picture(run, found, trained.method),
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


def table_of(made: Sequence[Made]) -> TextTable:
    """What was published beside what was made again."""
    headings = ["data and configuration", "table", "published", "here", "limit", "exact", "unit", "updates", "minutes"]
    rows = [
        [
            one.row.label,
            one.row.published.table,
            one.row.published.words,
            _figure(one),
            "" if one.row.limit is None else f"{one.row.limit:g}",
            "" if one.exact is None else one.exact.plus_minus(),
            one.row.published.unit,
            "" if one.trained is None else f"{one.trained.run.num_updates:,}",
            "" if one.seconds is None else f"{one.seconds / 60:.1f}",
        ]
        for one in made
    ]
    sizes: dict[str, int] = {}
    for one in made:
        sizes[one.row.data] = sizes.get(one.row.data, 0) + 1
    return TextTable(CAPTION, headings, rows, align="lcrrrrlrr", note=NOTE, group_sizes=list(sizes.values()))


def _figure(made: Made) -> str:
    if made.K is None:
        return "not measured"
    return made.K.plus_minus() + ("" if made.row.published.figure == "K" else " (K)")


def _missing(made: Sequence[Made]) -> list[str]:
    """Which rows were not measured, why, and what to do."""
    return [f"not measured: {one.row.label}: {one.reason}" for one in made if one.reason]


def _write_page(path: Path, made: Sequence[Made]) -> None:
    drawn = [one for one in made if one.picture is not None and one.trained is not None]
    pictures = [
        PagePicture(one.picture.read_bytes(), f"{one.row.picture}: {one.row.label}.", f"Draws of {one.row.label}")
        for one in drawn
        if one.picture is not None
    ]
    sections = [
        PageSection("The tables", [table_of(made), *_missing(made)]),
        PageSection("The figures", pictures),
        PageSection(
            "Configuration", [settings(one.trained, one.row.label) for one in drawn if one.trained is not None]
        ),
        PageSection("Terms", [PageTerms(TERMS)]),
    ]
    abstract = [
        "Sohl-Dickstein et al. (2015), fitted and scored again, with the paper's networks and with the default ones."
    ]
    write_page(path, "The paper made again", sections, abstract=abstract, footer="Made by dpm-ppl.")
