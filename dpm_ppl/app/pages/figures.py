"""The figures of the pages as pictures: of one run, of several methods, and against the number of particles."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from arviz_plots.visuals import set_xlim, set_ylim

from dpm_ppl.analysis.comparison.comparison import Comparison
from dpm_ppl.analysis.page.page import PagePicture
from dpm_ppl.analysis.plots.curves import plot_ladder_values
from dpm_ppl.analysis.plots.forest import plot_figures
from dpm_ppl.estimates.standard_errors import Estimate
from dpm_ppl.evaluation import Measured

DRAWN: dict[str, Any] = {"backend": "matplotlib"}


def figures_of_run(compared: Comparison, measured: Measured) -> PagePicture:
    """The bounds of a run, beside the exact value and what else there is to hold them against."""
    (one,), scale, scores = compared.entries, compared.scale, measured.scores
    rows = {}
    if one.is_importance_weighted:
        rows[f"importance-weighted, S = {one.ladder[-1].num_particles:,}"] = one.best
    rows["log-likelihood" if one.is_exact else one.form] = one.K
    held_against = []
    if scores.gaussian is not None:
        rows["full Gaussian"] = scale.figure(scores.gaussian)
        held_against.append("a full Gaussian")
    if scores.L_null is not None and not held_against and compared.exact is None:
        rows["nothing learned"] = scale.figure(scores.L_null)
        held_against.append("a chain that has learned nothing")
    if compared.exact is not None:
        held_against.append("the exact value, the dashed line")
    caption = f"The bound on held-out data{', beside ' + ' and '.join(held_against) if held_against else ''}."
    return _forest({name: {"figure": figure} for name, figure in rows.items()}, compared, caption, one.name)


def figures_of_methods(compared: Comparison) -> PagePicture:
    """K and the best bound of every method, the best on top."""
    rows = {}
    single = " or ".join(dict.fromkeys(one.form for one in compared.entries if not one.is_exact))
    for one in compared.entries:
        rows[one.name] = {"log-likelihood" if one.is_exact else single: one.K}
        if one.is_importance_weighted:
            rows[one.name] |= {"importance-weighted": one.best}
    exact = "" if compared.exact is None else " The dashed line is the exact value."
    caption = f"All methods on the same held-out data, the best on top.{exact}"
    if len(rows) > 1:
        caption += " Two methods may differ more surely than their lines suggest: see the table of paired differences."
    return _forest(rows, compared, caption, ", ".join(rows))


def ladders(compared: Comparison) -> list[PagePicture]:
    """What the tables say of more particles, of all methods in one picture; none where no method has weights."""
    scale = compared.scale
    climbing = {
        one.name: {row.num_particles: scale.figure(row.mean) for row in one.ladder}
        for one in compared.entries
        if any(math.isfinite(row.mean.mean) for row in one.ladder)
    }
    if not climbing:
        return []
    drawn = plot_ladder_values(climbing, exact=compared.exact, unit=scale.unit, **DRAWN)
    caption = f"From one particle to many, in the values of the tables; {scale.better} is better."
    if limits := _limits(climbing, compared.exact, _sign(compared)):
        set_ylim(None, drawn.get_target("bound", {}), limits=limits)
        caption += " What is far worse is cut off."
    return [PagePicture(drawn, caption, f"Bounds of {', '.join(climbing)} against the number of particles")]


def _forest(rows: Mapping[str, Mapping[str, Estimate]], compared: Comparison, caption: str, names: str) -> PagePicture:
    scale = compared.scale
    drawn: Any = plot_figures(rows, unit=scale.unit, better=scale.better, exact=compared.exact, **DRAWN)
    caption += " Lines reach two standard errors over data either way."
    climbing = {name: dict(enumerate(sorted(figures.values(), key=scale.order))) for name, figures in rows.items()}
    if limits := _limits(climbing, compared.exact, _sign(compared)):
        set_xlim(None, drawn.get_target("figures", {}), limits=limits)
        caption += " What is far worse is cut off."
    return PagePicture(drawn, caption, f"Figures of {names}")


def _sign(compared: Comparison) -> float:
    return 1.0 if compared.scale.better == "higher" else -1.0


def _limits(
    climbing: Mapping[str, Mapping[int, Estimate]], exact: Estimate | None, sign: float
) -> tuple[float, float] | None:
    """Limits that keep one steep ladder from flattening all others, where that is needed."""
    values = [sign * np.array([float(figure.mean) for figure in ladder.values()]) for ladder in climbing.values()]
    values = [finite for one in values if (finite := one[np.isfinite(one)]).size]
    if not values:
        return None
    last = [one[-1] for one in values]
    reach = max(1.0, max(last) - min(last))
    lowest = min(last) - 2 * reach
    if min(one[0] for one in values) >= lowest:
        return None
    best = max(last) if exact is None else max(*last, sign * float(exact.mean))
    low, high = sorted((float(sign * lowest), float(sign * (best + 0.2 * reach))))
    return low, high
