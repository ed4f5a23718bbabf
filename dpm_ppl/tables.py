"""Scores as a table for a person: every figure with its standard error and unit."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from rich.console import Console
from rich.table import Table

from dpm_ppl.estimates import Estimate
from dpm_ppl.experiment import Reference
from dpm_ppl.scores import Scores

ROWS = {
    "K": "K",
    "L_null": "L_null",
    "K_minus_L_null": "K - L_null",
    "exact": "exact log-likelihood",
    "gap": "gap (exact - K)",
    "K_original": "K, data as given",
    "bits_per_dim": "bits per dimension",
}


def scores_table(scores: Mapping[str, Scores]) -> Table:
    """One row per figure of each experiment, in 80 columns; under an experiment's name, its data and draws for each.

    L_null and the exact value carry the data's standard error alone.
    """
    table = Table(title="Held-out scores: mean ± standard error over data", title_justify="left")
    for heading in ("experiment", "figure"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    table.add_column("unit")
    for name, score in scores.items():
        heads = (name, f"{score.num_points:,} x {score.num_draws} draws")
        for head, (figure, value) in zip_longest(heads, score.figures().items(), fillvalue=""):
            unit = "bits/dim" if figure == "bits_per_dim" else score.unit
            table.add_row(head, ROWS[figure], plus_minus(value), unit)
        table.add_section()
    return table


def print_scores(scores: Mapping[str, Scores], *, references: Sequence[Reference] = ()) -> None:
    """The table, and below it what there is to hold it against."""
    console = Console(highlight=False)
    console.print(scores_table(scores))
    for reference in references:
        console.print(f"  for comparison: {reference.name}: {reference.value:g} {reference.unit}")


def plus_minus(value: Estimate) -> str:
    """Mean and standard error, as `Estimate.format` rounds them, without the count."""
    return value.format().partition(" (")[0]
