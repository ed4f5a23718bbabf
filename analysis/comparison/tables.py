"""The tables of a comparison: the order at a glance, the figures of each method, all paired differences."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dpm_ppl._common.wording import AT_MOST, percentage
from dpm_ppl.analysis.comparison.entry import Entry
from dpm_ppl.analysis.comparison.scale import Scale
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.estimates.standard_errors import Estimate


def summary_table(
    scale: Scale, entries: Sequence[Entry], ranks: Sequence[str], behind: Sequence[Estimate], exact: Estimate | None
) -> TextTable:
    """One row per method, the best first, and the exact value where it is known; `behind` the first, paired."""
    has_exact = any(one.gap is not None for one in entries)
    several = len(entries) > 1
    headings = ["rank"] * several + ["method", "K", "best bound", "S"] + ["gap to exact"] * has_exact
    headings += ["behind first"] * several + ["not reliable"]
    rows = [] if exact is None else [_exact_row(headings, exact)]
    for place, (one, rank, lacking) in enumerate(zip(entries, ranks, behind, strict=True)):
        cells = {
            "rank": rank,
            "method": one.name,
            "K": one.K.plus_minus(),
            "best bound": one.best.plus_minus(side=one.side),
            "S": f"{one.ladder[-1].num_particles:,}" if one.is_importance_weighted else "",
            "gap to exact": one.gap.plus_minus() if one.gap else "",
            "behind first": lacking.plus_minus() if place else "",
            "not reliable": "" if one.doubtful_share is None else percentage(one.doubtful_share),
        }
        rows.append([cells[heading] for heading in headings])
    num_points = len(entries[0].K_values)
    note = f"Mean ± standard error over all {num_points:,} held-out data.{_extension(entries, exact is not None)}"
    if several:
        note += (
            " Gaps and differences are paired over data. Two methods share a rank where their difference is less than "
            "two standard errors."
        )
    align = "c" * several + "l" + "r" * (len(headings) - several - 1)
    return TextTable(f"Methods by {scale.unit}, {scale.better} is better", headings, rows, align, note)


def figures_table(scale: Scale, figures: Sequence[Mapping[str, Any]]) -> TextTable:
    """Every figure of every method, a row of `Comparison.figures` each, with what stands behind it."""
    has_exact = any("gap" in row for row in figures)
    headings = ["method", "figure", "S", "value"] + ["gap to exact"] * has_exact
    headings += ["draws", "data", "with weights", "ESS", "not reliable"]
    rows, named = [], None
    for row in figures:
        gap = Estimate(row["gap"], row["gap_se"], row["num_points"]).plus_minus() if "gap" in row else ""
        cells = [
            "" if row["method"] == named else row["method"],
            row["figure"],
            f"{row['num_particles']:,}" if "num_particles" in row else "",
            Estimate(row["value"], row["se"], row["num_points"]).plus_minus(side=row.get("side", "")),
            *[gap] * has_exact,
            f"{row['num_draws']:,}" if "num_draws" in row else "",
            f"{row['num_points']:,}",
            f"{row['num_with_weights']:,}" if "num_with_weights" in row else "",
            f"{row['ess_median']:,.1f}" if math.isfinite(row.get("ess_median", math.nan)) else "",
            percentage(row["doubtful_share"]) if "doubtful_share" in row else "",
        ]
        rows.append(cells)
        named = row["method"]
    bounds = "upper bounds of a code length" if scale.side == AT_MOST else "lower bounds of log-likelihoods"
    note = (
        f"K, the ELBO and importance-weighted values are {bounds}. S: number of particles in each mean of weights. "
        "draws: of noise, guide or weights for each datum. data: number of data behind the value; with weights: how "
        "many of them have importance weights; K and the exact value serve for the others. ESS: effective sample size "
        "of the draws, the median over these data. not reliable: the share of them whose verdict is "
        "any but reliable."
    )
    return TextTable(f"All figures, {scale.unit}", headings, rows, "ll" + "r" * (len(headings) - 2), note)


def differences_table(scale: Scale, names: Sequence[str], behind: Sequence[Sequence[Estimate]]) -> TextTable:
    """By how much the method of the column is better than that of the row, `behind[row][column]`."""
    rows = [
        [name, *("" if i == j else behind[i][j].plus_minus() for j in range(len(names)))]
        for i, name in enumerate(names)
    ]
    note = (
        "Mean ± standard error, paired over data; positive where the method of the column is better than that of the "
        "row. Where only some of the data have importance weights, this may differ from the difference of the two "
        "values above, and is the more precise of the two."
    )
    return TextTable(f"Paired differences, {scale.unit}", ["", *names], rows, note=note)


def _exact_row(headings: list[str], exact: Estimate) -> list[str]:
    cells = {"method": "exact", "best bound": exact.plus_minus()}
    return [cells.get(heading, "") for heading in headings]


def _extension(entries: Sequence[Entry], has_exact: bool) -> str:
    """How the best bound of all data comes from the weights of some of them."""
    counts = {len(one.places) for one in entries if one.is_importance_weighted}
    fewer = " or ".join(f"{count:,}" for count in sorted(counts - {len(entries[0].K_values)}))
    by = "K and the exact value" if has_exact else "K"
    return f" The best bound has S particles for {fewer} of them, and {by} for the others." if fewer else ""
