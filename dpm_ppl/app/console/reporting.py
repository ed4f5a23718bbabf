"""What the commands print: tables for a person, or one JSON object."""

import json as json_format
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement

from dpm_ppl.app import runs, weighing
from dpm_ppl.app.console.tables import print_importance_scores, print_sandwich, print_scores
from dpm_ppl.evaluation.importance_scores import sandwich_json, summarise
from dpm_ppl.evaluation.scores import Scores
from dpm_ppl.experiments.experiment import Experiment
from dpm_ppl.methods.base import AbstractMethod

if TYPE_CHECKING:
    from dpm_ppl.analysis.comparison.comparison import Comparison
    from dpm_ppl.analysis.text_table import TextTable

Facts = dict[str, Any]


def report_scores(
    run: runs.Run,
    experiment: Experiment,
    method: AbstractMethod,
    json: bool,
    num_draws: int | None = None,
    more: Callable[[Scores], Facts] | None = None,
) -> Facts:
    """Print the scores, and what `more` prints and knows beside them."""
    scores = runs.score_heldout(run, experiment, method, num_draws=num_draws)
    progress = {"num_updates": run.num_updates, "num_updates_done": runs.updates_done(run)}
    if unfinished := runs.standing(run):
        print(unfinished, file=sys.stderr)
    if not json:
        print_scores({run.name: scores}, references=experiment.task.references)
    facts = {"experiment": run.experiment, "options": run.options, **progress, **scores.as_json()}
    facts |= more(scores) if more else {}
    if json:
        print_json(facts)
    return facts


def report_weights(
    run: runs.Run,
    experiment: Experiment,
    method: AbstractMethod,
    scores: Scores,
    json: bool,
    with_sandwich: bool,
    num_particles: int,
    num_points: int,
    proposal: str,
) -> Facts:
    """Print the importance-weighted figures, and the sandwich."""
    how = (num_particles, num_points, proposal)
    weighed = summarise(weighing.weigh_heldout(run, experiment, method, *how), experiment.task.heldout.units, scores)
    if not json:
        print_importance_scores(weighed)
    facts = weighed.as_json()
    if with_sandwich and not weighed.interrupted:
        bounds = weighing.sandwich_simulated(run, method, *how)
        units = experiment.task.heldout.units
        facts |= {"sandwich": sandwich_json(bounds, units), "interrupted": bounds.forward.interrupted}
        if not json:
            print_sandwich(bounds, units, scores.unit)
    return facts


def print_tables(compared: "Comparison", tables: "Sequence[TextTable]") -> None:
    """Tables as wide as they need to be, and below them what the figures say."""
    console = Console(highlight=False, soft_wrap=True)
    for table in tables:
        drawn = table.rich()
        width = Measurement.get(console, console.options.update(max_width=1000), drawn).maximum
        Console(highlight=False, width=max(console.width, width)).print(drawn)
    for sentence in compared.verdicts():
        console.print(sentence)


def print_json(value: Any) -> None:
    """One JSON value on standard output, as strict readers take it."""
    print(json_format.dumps(value, indent=2, allow_nan=False))
