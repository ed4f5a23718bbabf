"""Scores as tables for a person: every figure with its standard error and unit."""

from collections.abc import Mapping, Sequence
from itertools import chain, repeat

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dpm_ppl.experiment import Reference
from dpm_ppl.importance_scores import ImportanceScores
from dpm_ppl.likelihood import Sandwich
from dpm_ppl.likelihood.diagnostics import FEWEST_FOR_KHAT
from dpm_ppl.scores import Scores
from dpm_ppl.units import Units

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
        for (figure, value), head in zip(score.figures().items(), chain(heads, repeat("")), strict=False):
            unit = "bits/dim" if figure == "bits_per_dim" else score.unit
            table.add_row(head, ROWS[figure], value.plus_minus(), unit)
        table.add_section()
    return table


def print_scores(scores: Mapping[str, Scores], *, references: Sequence[Reference] = ()) -> None:
    """The table, and below it what there is to hold it against."""
    console = Console(highlight=False)
    console.print(scores_table(scores))
    for reference in references:
        console.print(f"  for comparison: {reference.name}: {reference.value:g} {reference.unit}")


def importance_table(scores: ImportanceScores) -> Table:
    """The ladder: one row per number of particles, with its error over data and what the weights say about it.

    ESS is the median over data, and k-hat is told only where there are enough particles to fit a tail.
    """
    title = f"Importance-weighted log-likelihood in {scores.unit}, from {scores.num_points:,} data"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    has_exact = any(rung.gap for rung in scores.rungs)
    headings = ("particles", "value", "rise", "gap to exact", "ESS", "bad k-hat")
    for heading in headings:
        if has_exact or heading != "gap to exact":
            table.add_column(heading, justify="right", no_wrap=True)
    for rung in scores.rungs:
        gap = [rung.gap.plus_minus() if rung.gap else ""] if has_exact else []
        rise = rung.rise.plus_minus() if rung.rise else ""
        tail = f"{rung.khat_bad_share:.0%}" if rung.num_draws >= FEWEST_FOR_KHAT else ""
        table.add_row(f"{rung.num_particles:,}", rung.mean.plus_minus(), rise, *gap, f"{rung.ess_median:,.1f}", tail)
    return table


def print_importance_scores(scores: ImportanceScores) -> None:
    """The ladder, and below it how far to trust it."""
    console = Console(highlight=False)
    console.print(importance_table(scores))
    shares = ", ".join(f"{share:.0%} {verdict}" for verdict, share in scores.verdicts.items())
    khat = f"k-hat median {scores.khat['median']:.2f}, largest {scores.khat['largest']:.2f}"
    last = scores.rungs[-1]
    if last.num_draws < FEWEST_FOR_KHAT:
        fewest = FEWEST_FOR_KHAT * last.num_particles // last.num_draws
        khat = f"too few draws for k-hat, which needs {fewest:,} particles"
    console.print(f"  data: {shares}; {khat}")
    console.print(f"  second-order cumulant estimate, no bound: {scores.cumulant.plus_minus()} {scores.unit}")
    if scores.bits_per_dim is not None:
        console.print(f"  bits per dimension, dequantisation noise integrated out: {scores.bits_per_dim.plus_minus()}")


def print_sandwich(sandwich: Sandwich, units: Units, unit: str) -> None:
    """Bounds from both sides, and what they certify."""
    figures = sandwich.figures().values()
    lower, upper, gap = (units.in_units(figure, "bits/point").plus_minus() for figure in figures)
    console = Console(highlight=False)
    console.print(f"Sandwich, {sandwich.num_particles:,} particles, {len(sandwich.x_0):,} simulated data:")
    console.print(f"  {lower} <= log p(x_0) <= {upper} {unit}")
    console.print(f"  gap, at least the lower bound's bias: {gap}")
    console.print(f"  {sandwich.forward.doubtful_share:.0%} of the simulated data not reliable")
    console.print("  This certifies the estimator on data simulated from the model; others can be harder.")
