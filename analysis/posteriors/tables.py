"""The tables of compared posteriors: for a person, and as numbers."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from dpm_ppl._common.wording import khat_words
from dpm_ppl.analysis.posteriors.rows import PosteriorRow
from dpm_ppl.analysis.text_table import TextTable

if TYPE_CHECKING:
    import pandas as pd

HEADINGS = ("posterior", "figure", "value", "exact draws", "p")


def figures_table(rows: Sequence[PosteriorRow], sites: Sequence[str]) -> TextTable:
    """Every figure of every posterior; beside them stand its name and what was drawn."""
    groups = [_lines(row) for row in rows]
    lines = [line for group in groups for line in group]
    sizes = [len(group) for group in groups]
    return TextTable(f"Posteriors of {', '.join(sites)}", HEADINGS, lines, "llrrr", group_sizes=sizes)


def _lines(row: PosteriorRow) -> list[tuple[str, ...]]:
    figures = [
        (name, found.format(), found.format_null(), f"{found.p_value:.2g}") for name, found in row.distances.items()
    ]
    figures.append(("ESS of the draws", f"{row.ess:,.0f}", "", ""))
    if not np.isnan(row.rhat):
        figures.append(("R-hat", f"{row.rhat:.3f}" if row.rhat < 100 else f"{row.rhat:.3g}", "", ""))
    if row.weights is not None:
        figures.append(("k-hat", khat_words(row.weights.khat), "", ""))
        figures.append(("ESS of the weights", f"{row.weights.ess:,.0f} of {row.weights.num_draws:,}", "", ""))
    heads = [row.name, f"{row.num_chains} x {row.num_draws // row.num_chains:,} draws"]
    figures += [("",) * (len(HEADINGS) - 1)] * (len(heads) - len(figures))
    return [(head, *figure) for head, figure in zip_longest(heads, figures, fillvalue="")]


def notes(
    rows: Sequence[PosteriorRow], left_out: Mapping[str, Mapping[str, tuple[int, ...]]], reference: str | None
) -> list[str]:
    """What to know of the table, and a verdict on every posterior."""
    lines = [f"{row.name}: {row.verdict}" for row in rows]
    if left_out:
        lines.append(f"Left out, as not all have them in one shape: {_sites(left_out)}.")
    if reference is None:
        return lines
    unit = f"Distances are to {reference}, its standard deviation the unit of every coordinate."
    return ["± is a standard error; of exact draws, the spread of the figure itself.", unit, *lines]


def _sites(left_out: Mapping[str, Mapping[str, tuple[int, ...]]]) -> str:
    """`a, b of one; a (2,) of another`."""
    shown = {
        name: ", ".join(f"{site} {shape}" if shape else site for site, shape in of.items())
        for name, of in left_out.items()
    }
    return "; ".join(f"{sites} of {name}" for name, sites in shown.items())


def data_frame(rows: Sequence[PosteriorRow]) -> "pd.DataFrame":
    """Columns of numbers, one row per posterior."""
    import pandas as pd

    lines: list[dict[str, Any]] = []
    for row in rows:
        line: dict[str, Any] = {
            "posterior": row.name,
            "num_chains": row.num_chains,
            "num_draws": row.num_draws,
            "constants": ", ".join(row.constants),
            "ess": row.ess,
            "rhat": row.rhat,
        }
        for name, distance in row.distances.items():
            line |= {name: distance.value.mean, f"{name} se": distance.value.se, f"{name} null": distance.null_mean}
            line |= {f"{name} null sd": distance.null_sd, f"{name} p": distance.p_value}
        if row.weights is not None:
            line |= {"khat": row.weights.khat, "weights_ess": row.weights.ess, "elbo": row.weights.elbo.mean}
            line |= {"elbo_se": row.weights.elbo.se, "weights": row.weights.verdict}
        lines.append(line | {"verdict": row.verdict})
    return pd.DataFrame(lines).set_index("posterior")
