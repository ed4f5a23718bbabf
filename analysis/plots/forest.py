"""Plots of the figures of several methods, one row each: which is best, and how surely."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from arviz_plots import visuals
from arviz_plots.plot_collection import PlotCollection

from dpm_ppl._common.checks import check_some
from dpm_ppl.analysis.plots._parts.axes import label_axes, set_ticks
from dpm_ppl.analysis.plots._parts.members import curves, draw, error_bars, line, points, style_members
from dpm_ppl.analysis.plots._parts.panels import FIGURE_WIDTH, legend, panels
from dpm_ppl.estimates.standard_errors import Estimate

APART = 0.24
"""Between the figures of one row, in heights of a row."""
MARKERS = ("C0", "C2", "C5", "C4")
"""Circle, triangle, square, diamond."""


def plot_figures(
    rows: Mapping[str, Mapping[str, Estimate]],
    *,
    unit: str,
    better: str = "higher",
    exact: Estimate | None = None,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """A row for each method, the first on top, with its figures as points and two standard errors either way as lines.

    The panel is called `figures`. What is not finite has no place in it.

    **Arguments:** `rows`, by method and by kind of figure, such as K and the best bound; `unit`, that of all; `better`,
    `higher` or `lower`, is said beside the axis; `exact`, a value known exactly, as an upright line. For the others see
    `plot_ladder`.

    **Raises:** `InputError` where there are no figures.
    """
    check_some("rows", [*filter(None, rows.values())], expected="figures by method", remedy="measure at least one")
    kinds = list(dict.fromkeys(kind for figures in rows.values() for kind in figures))
    height = 90 + 46.0 * len(rows)
    collection = panels(["figures"], backend, plot_collection, figure_kwargs, title, panel_size=(FIGURE_WIDTH, height))
    top = len(rows) - 1
    if exact is not None:
        upright = curves({"exact": ([-0.5, top + 0.5], np.full(2, float(exact.mean)))})
        draw(collection, line, "figures", upright, label="exact_value", sideways=True, color="B2", linestyle="C1")
    styles = {kind: {"color": f"C{place}", "marker": MARKERS[place % len(MARKERS)]} for place, kind in enumerate(kinds)}
    style_members(collection, styles)
    series = {}
    for place, kind in enumerate(kinds):
        shift = APART * ((len(kinds) - 1) / 2 - place)
        found = [(top - row + shift, figures[kind]) for row, figures in enumerate(rows.values()) if kind in figures]
        height_of, means, errors = (
            np.array([float(value) for value in values])
            for values in zip(*((y, figure.mean, 2 * np.nan_to_num(figure.se)) for y, figure in found), strict=True)
        )
        series[kind] = height_of, means, errors
    drawn = curves(series)
    draw(collection, error_bars, "figures", drawn, ignore=("marker",), sideways=True, width=2)
    draw(collection, points, "figures", drawn, sideways=True, size=45)
    label_axes(collection, "figures", x=f"{unit}, {better} is better")
    panel = collection.get_target("figures", {})
    set_ticks(None, panel, list(range(top, -1, -1)), list(rows), "y")
    visuals.set_ylim(None, panel, limits=(-0.6, top + 0.6))
    if len(kinds) > 1:
        legend(collection, plot_collection, of_points=True)
    return collection
