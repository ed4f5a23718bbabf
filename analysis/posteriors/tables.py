"""How a `PosteriorComparison` reads: in a terminal, in a notebook, as numbers."""

from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from dpm_ppl._common.wording import khat_words

if TYPE_CHECKING:
    import pandas as pd

    from dpm_ppl.analysis.posteriors.comparison import PosteriorComparison, PosteriorRow

HEADINGS = ("posterior", "figure", "value", "exact draws", "p")


def cells(row: "PosteriorRow") -> list[tuple[str, ...]]:
    """The text of one posterior's lines, under `HEADINGS`; beside its figures stand its name and what was drawn."""
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
    return [(head, *figure) for head, figure in zip_longest(heads, figures, fillvalue="")]


def notes(comparison: "PosteriorComparison") -> list[str]:
    """What to know of the table, and a verdict on every posterior."""
    lines = [f"{row.name}: {row.verdict}" for row in comparison.rows]
    if comparison.left_out:
        lines.append(f"Left out, as not all have them in one shape: {_sites(comparison.left_out)}.")
    if comparison.reference is None:
        return lines
    unit = f"Distances are to {comparison.reference}, its standard deviation the unit of every coordinate."
    return ["± is a standard error; of exact draws, the spread of the figure itself.", unit, *lines]


def _sites(left_out: dict[str, dict[str, tuple[int, ...]]]) -> str:
    """`a, b of one; a (2,) of another`."""
    shown = {
        name: ", ".join(f"{site} {shape}" if shape else site for site, shape in of.items())
        for name, of in left_out.items()
    }
    return "; ".join(f"{sites} of {name}" for name, sites in shown.items())


def table(comparison: "PosteriorComparison") -> Group:
    """For a terminal, by rich."""
    title = f"Posteriors of {', '.join(comparison.sites)}"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="right" if i > 1 else "left")
    for row in comparison.rows:
        for line in cells(row):
            shown.add_row(*map(Text, line))
        shown.add_section()
    return Group(shown, *(Text(line) for line in notes(comparison)))


def text(comparison: "PosteriorComparison") -> str:
    """The same without colours, 100 columns wide."""
    console = Console(width=100, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(table(comparison))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def html(comparison: "PosteriorComparison") -> str:
    """For a notebook."""
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in line) for row in comparison.rows for line in cells(row)]
    words = "".join(f"<li>{escape(line)}</li>" for line in notes(comparison))
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><ul>{words}</ul>"


def numbers(comparison: "PosteriorComparison") -> "pd.DataFrame":
    """Columns of numbers, one row per posterior."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for row in comparison.rows:
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
        rows.append(line | {"verdict": row.verdict})
    return pd.DataFrame(rows).set_index("posterior")
