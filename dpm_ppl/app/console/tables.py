"""Scores as tables for a person: every figure with its standard error and unit."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain, repeat

from rich.console import Console
from rich.padding import Padding

from dpm_ppl._common.wording import AT_LEAST, AT_MOST, failures, khat_words, percentage
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.data.units import Units
from dpm_ppl.evaluation.importance_scores import ImportanceScores, why_K_stands
from dpm_ppl.evaluation.measured import Measured
from dpm_ppl.evaluation.scores import Scores
from dpm_ppl.experiments import Reference
from dpm_ppl.likelihood import Sandwich
from dpm_ppl.likelihood.diagnostics import FEWEST_FOR_KHAT

ROWS = {
    "K": "K",
    "L_null": "L_null",
    "K_minus_L_null": "K - L_null",
    "K_continuous": "K, continuous time",
    "exact": "exact log-likelihood",
    "gap": "gap (exact - K)",
    "gaussian": "full Gaussian",
    "K_minus_gaussian": "K - full Gaussian",
    "K_original": "K, data as given",
    "K_per_pixel": "K per pixel",
    "K_minus_L_null_per_pixel": "K - L_null per pixel",
    "bits_per_dim": f"code length, {AT_MOST}",
}
UNITS = dict.fromkeys(("K_per_pixel", "K_minus_L_null_per_pixel"), "bits/pixel") | {"bits_per_dim": "bits/dim"}
"""Of figures that are not of a whole datum."""


def scores_table(scores: Mapping[str, Scores]) -> TextTable:
    """One row per figure of each experiment, in 80 columns; under an experiment's name, its data and draws for each.

    L_null and the exact value carry the data's standard error alone.
    """
    rows, sizes = [], []
    for name, score in scores.items():
        size = [f"{score.num_points:,} x {score.num_draws} draws"]
        if score.num_sampled_steps is not None:
            size.append(f"K from {score.num_sampled_steps:,} steps")
        heads, figures = (name, *size), score.figures()
        for (figure, value), head in zip(figures.items(), chain(heads, repeat("")), strict=False):
            rows.append([head, ROWS[figure], value.plus_minus(), UNITS.get(figure, score.unit)])
        sizes.append(len(figures))
    caption = "Held-out scores: mean ± standard error over data"
    return TextTable(caption, ["experiment", "figure", "value", "unit"], rows, align="llrl", group_sizes=sizes)


def print_scores(scores: Mapping[str, Scores], *, references: Sequence[Reference] = ()) -> None:
    """The table, and below it what there is to hold it against."""
    console = Console(highlight=False)
    console.print(scores_table(scores).rich())
    for name, score in scores.items():
        if failed := failures(score.K_values):
            console.print(f"  {name}: K is {failed}")
    for reference in references:
        console.print(f"  for comparison: {reference.name}: {reference.value:g} {reference.unit}")


def importance_table(scores: ImportanceScores) -> TextTable:
    """The ladder: one row per number of particles, with its error over data."""
    headings = ["particles", "value", "rise"] + ["gap to exact"] * any(row.gap for row in scores.ladder)
    rows = [
        [f"{row.num_particles:,}", *(figure.plus_minus() if figure else "" for figure in (row.mean, row.rise, row.gap))]
        for row in scores.ladder
    ]
    return TextTable("", headings, [row[: len(headings)] for row in rows], align="r" * len(headings))


def print_importance_scores(measured: Measured) -> None:
    """The ladder, and below it the best bound and how far to trust it; nothing where no weights were drawn."""
    if measured.importance is None:
        return
    console = Console(highlight=False)
    console.print(f"Importance-weighted lower bounds of the log-likelihood, {measured.scores.unit}:")
    console.print(importance_table(measured.importance).rich())
    for line in [*_best(measured), *_weights_behind(measured.importance)]:
        console.print(Padding(line, (0, 0, 0, 2)))


def _best(measured: Measured) -> list[str]:
    at_least, at_most = ("", "") if measured.is_reached else (AT_LEAST, AT_MOST)
    lines = [f"log-likelihood: {measured.best.plus_minus(side=at_least)} {measured.scores.unit}"]
    bits, integrated = measured.best_bits_per_dim, ""
    if measured.is_importance_weighted:
        integrated = ", dequantisation noise integrated out"
    elif measured.importance is not None and not measured.is_exact and math.isfinite(measured.best.mean):
        lines[0] += f", which is K: {why_K_stands(measured.importance.gain, measured.scores.unit)}"
    if bits is not None:
        lines.append(f"code length: {bits.plus_minus(side=at_most)} bits/dim{integrated}")
    return lines


def _weights_behind(scores: ImportanceScores) -> list[str]:
    lines, last = [], scores.ladder[-1]
    some, heldout = f"{scores.num_points:,}", f"{scores.num_heldout:,}"
    if some != heldout:
        lines.append(f"means over all {heldout} held-out data; {some} of them have weights, and give the rises.")
    shares = [f"{percentage(share)} {verdict}" for verdict, share in scores.verdicts.items() if share]
    lines.append(f"of the {some} data with weights: {', '.join(shares)}; {_weights(scores)}")
    if last.num_draws > 1:
        lines.append(f"second-order cumulant estimate, no bound: {scores.cumulant.plus_minus()} {scores.unit}")
    return lines


def _weights(scores: ImportanceScores) -> str:
    last = scores.ladder[-1]
    per_draw = last.num_particles // last.num_draws
    if last.num_draws == 1:
        return f"one draw of {per_draw:,} particles a datum: no error known"
    ess = f"ESS {scores.ess_median:,.1f}" if math.isfinite(scores.ess_median) else "ESS unknown"
    khat = f"k-hat {khat_words(scores.khat['median'])} (median), largest {khat_words(scores.khat['largest'])}"
    if last.num_draws < FEWEST_FOR_KHAT:
        khat = f"too few draws for k-hat, which needs {FEWEST_FOR_KHAT * per_draw:,} particles"
    elif math.isnan(scores.khat["median"]):
        khat = "no tail that k-hat could be fitted to"
    return f"{ess} of {last.num_draws:,} draws (median); {khat}"


def print_sandwich(sandwich: Sandwich, units: Units, unit: str) -> None:
    """Bounds from both sides, and what they certify."""
    figures = sandwich.figures().values()
    lower, upper, gap = (units.in_units(figure, "bits/point").plus_minus() for figure in figures)
    console = Console(highlight=False)
    console.print(f"Sandwich, {sandwich.num_particles:,} particles, {len(sandwich.x_0):,} simulated data:")
    console.print(f"  {lower} <= log p(x_0) <= {upper} {unit}")
    console.print(f"  gap, at least the lower bound's bias: {gap}")
    console.print(f"  {percentage(sandwich.forward.doubtful_share)} of the simulated data not reliable")
    console.print("  This certifies the estimator on data simulated from the model; others can be harder.")
