"""What the commands print: tables for a person, or one JSON object."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement

from dpm_ppl.app.commands._output import print_json
from dpm_ppl.app.console.tables import print_importance_scores, print_sandwich, print_scores
from dpm_ppl.app.evaluating import evaluate_run
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.evaluation import Measured, Particles, Scores
from dpm_ppl.evaluation.importance_scores import sandwich_json

if TYPE_CHECKING:
    from dpm_ppl.analysis.comparison.comparison import Comparison
    from dpm_ppl.analysis.text_table import TextTable


def report(
    opened: OpenedRun,
    json: bool,
    particles: Particles | None = None,
    *,
    with_sandwich: bool = False,
    num_draws: int | None = None,
    num_sampled_steps: int | None = None,
) -> Measured:
    """Evaluate a run and print what comes of it: the scores as soon as they are there, then the rest."""

    def show_scores(scores: Scores) -> None:
        if opened.standing:
            print(opened.standing, file=sys.stderr)
        if not json:
            print_scores({opened.label: scores}, references=opened.experiment.task.references)

    sizes = {"num_draws": num_draws, "num_sampled_steps": num_sampled_steps}
    measured = evaluate_run(opened, particles, with_sandwich=with_sandwich, **sizes, on_scores=show_scores)
    if json:
        print_json(_as_json(opened, measured))
        return measured
    print_importance_scores(measured)
    if measured.sandwich is not None:
        print_sandwich(measured.sandwich, measured.units, measured.scores.unit)
    return measured


def _as_json(opened: OpenedRun, measured: Measured) -> dict[str, Any]:
    run = opened.run
    figures = {
        "experiment": run.experiment,
        "options": run.options,
        "num_updates": run.num_updates,
        "num_updates_done": opened.num_updates_done,
        "num_steps": opened.num_steps,
        **measured.scores.as_json(),
    }
    if measured.importance is not None:
        figures |= measured.importance.as_json() | {"interrupted": measured.interrupted}
    if measured.sandwich is not None:
        figures["sandwich"] = sandwich_json(measured.sandwich, measured.units)
    return figures


def print_tables(compared: "Comparison", tables: "Sequence[TextTable]") -> None:
    """Tables as wide as they need to be, and below them what the figures say."""
    console = Console(highlight=False, soft_wrap=True)
    for table in tables:
        print_table(table)
    for sentence in compared.verdicts():
        console.print(sentence)


def print_table(table: "TextTable") -> None:
    """A table as wide as it needs to be."""
    console, drawn = Console(highlight=False, soft_wrap=True), table.rich()
    width = Measurement.get(console, console.options.update(max_width=1000), drawn).maximum
    Console(highlight=False, width=max(console.width, width)).print(drawn)
