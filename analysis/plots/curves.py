"""Plots of curves: the bound against the number of particles, and the metrics of a fit against its updates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots.plot_collection import PlotCollection

from dpm_ppl._common.checks import check_some
from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots._parts.axes import label_axes, powers_of_two, whole_numbers
from dpm_ppl.analysis.plots._parts.inputs import Group, group, left_out, log_density_in
from dpm_ppl.analysis.plots._parts.members import band, curves, draw, error_bars, line, points
from dpm_ppl.analysis.plots._parts.panels import legend, panels
from dpm_ppl.data.units import Units
from dpm_ppl.estimates.standard_errors import Estimate, estimate


def plot_ladder(
    weights: Group | Mapping[str, Group],
    *,
    exact: Estimate | None = None,
    unit: str = "bits/point",
    units: Units | None = None,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """From K to the log-likelihood: the mean bound against the number of particles, with one standard error over data.

    The mean is that of the data with weights (`plot_ladder_values` shows values that stand for more); a single datum
    has its Monte-Carlo standard error instead. A mean that is not finite is not shown. The panel is called `bound`.

    **Arguments:**

    - `weights`: a group by `weights_group` or a tree that has it; for several methods, groups by name.
    - `exact`: the log-likelihood itself, nats of standardised data, as a line in a band of one standard error.
    - `unit`: `bits/point`, `nats/point`, or with `units` also `bits/coordinate` and `nats/coordinate`.
    - `units`: how the data were standardised; log-densities are then those of the data as they were given.
    - `backend`: `matplotlib`, `plotly`, `bokeh` or `none`; by default ArviZ's `rcParams["plot.backend"]`.
    - `plot_collection`: one to draw into, with panels of the same names; it gets no legend, which its method
      `add_legend("member")` draws. `figure_kwargs` go to the figure of a new one, `title` stands above it.

    **Raises:** `InputError` for groups that have no ladder, a unit that does not fit, and no panel to draw into.
    """
    factor, offset = log_density_in(unit, units)
    if isinstance(weights, Group):
        weights = {"importance-weighted": weights}
    if not weights or (exact is not None and "exact" in weights):
        got = "the name 'exact'" if weights else "none"
        raise InputError("weights", expected="groups by names other than 'exact'", got=got, remedy="name each method")
    groups = {name: group(given, "weights", "ladder", "ladder_se") for name, given in weights.items()}
    ladders = {name: _mean_ladder(given) for name, given in groups.items()}
    series = {name: (x, y * factor + offset, se * factor) for name, (x, y, se) in ladders.items()}
    collection = panels(["bound"], backend, plot_collection, figure_kwargs, title)
    shown = "standardised data" if units is None else "the data as given"
    shown += left_out(np.concatenate([_has_ladder(given) for given in groups.values()]))
    level = None if exact is None else exact * factor + offset
    _draw_ladders(collection, series, level, f"particles S behind one estimate (densities of {shown})", unit)
    if exact is not None or len(series) > 1:
        legend(collection, plot_collection)
    return collection


def plot_ladder_values(
    ladders: Mapping[str, Mapping[int, Estimate]],
    *,
    exact: Estimate | None = None,
    unit: str,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """Figures as they stand in a table, by method and number of particles: what `plot_ladder` draws of single data.

    **Arguments:** `ladders`, by name, from the number of particles to the figure; `exact`, as a line in a band of one
    standard error; `unit`, that of all of them. For the others see `plot_ladder`.

    **Raises:** `InputError` where there are no figures.
    """
    if not ladders or not all(ladders.values()):
        raise InputError("ladders", expected="figures of every method", got="none", remedy="leave such methods out")
    collection = panels(["bound"], backend, plot_collection, figure_kwargs, title)
    series = {name: _columns(figures) for name, figures in ladders.items()}
    _draw_ladders(collection, series, exact, "particles S behind one estimate", unit)
    if exact is not None or len(series) > 1:
        legend(collection, plot_collection)
    return collection


def plot_training(
    rows: Sequence[Mapping[str, Any]],
    *,
    unit: str,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """Training loss and the bound K with one standard error either way, against updates, in panels `loss` and `K`.

    **Arguments:** `rows`, the metrics of a fit: `update`, and any of `loss`, `K` and `K_se`; what a row lacks is left
    out, and so is a panel of which no row has anything. `unit` is that of loss and K. For the others see `plot_ladder`.

    **Raises:** `InputError` where a row has no `update`, or no row has `loss` or `K`.
    """
    if not all("update" in row for row in rows):
        raise InputError("rows", expected="`update` in every row", got="a row without", remedy="pass FitResult.metrics")
    labels = {"loss": f"training loss ({unit})", "K": f"bound K ({unit})"}
    series = {}
    for name in labels:
        given = [row for row in rows if row.get(name) is not None]
        errors = [np.nan if row.get(f"{name}_se") is None else row[f"{name}_se"] for row in given]
        if given:
            series[name] = [row["update"] for row in given], [row[name] for row in given], errors
    if not series:
        raise InputError(
            "rows", expected="`loss` or `K` in some row", got=f"{len(rows)} rows with neither", remedy="fit first"
        )
    collection = panels(list(series), backend, plot_collection, figure_kwargs, title, col_wrap=2)
    ticks = whole_numbers([update for updates, *_ in series.values() for update in updates], most=6)
    for name, curve in series.items():
        for visual in (line, points, error_bars):
            draw(collection, visual, name, curves({name: curve}))
        label_axes(collection, name, x="updates", y=labels[name], x_ticks=ticks)
    return collection


def _columns(figures: Mapping[int, Estimate]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    means, errors = (np.array([float(getattr(one, part)) for one in figures.values()]) for part in ("mean", "se"))
    return np.array(list(figures)), means, errors


def _draw_ladders(
    collection: PlotCollection,
    series: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    exact: Estimate | None,
    x: str,
    unit: str,
) -> None:
    for visual in (line, points, error_bars):
        draw(collection, visual, "bound", curves(series))
    if exact is not None:
        ends = [min(x[0] for x, *_ in series.values()), max(x[-1] for x, *_ in series.values())]
        level = curves({"exact": (ends, np.full(2, exact.mean), np.full(2, exact.se))})
        draw(collection, band, "bound", level, label="exact_band")
        draw(collection, line, "bound", level, label="exact", linestyle="C1")
    ticks = powers_of_two(np.concatenate([particles for particles, *_ in series.values()]))
    label_axes(collection, "bound", x=x, y=f"mean bound ({unit})", log_x=True, x_ticks=ticks)


def _has_ladder(weights: xr.Dataset) -> np.ndarray:
    """Which data have numbers for all sizes, minus infinity among them."""
    return ~np.isnan(weights["ladder"].transpose("datum", ...).values).any(axis=1)


def _mean_ladder(weights: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, errors = (weights[name].transpose("datum", ...).values for name in ("ladder", "ladder_se"))
    drawn = _has_ladder(weights)
    check_some("weights", drawn[drawn], expected="data with a ladder", remedy="draw at least once per datum")
    mean = estimate(values[drawn])
    se = errors[drawn][0] if mean.num == 1 else np.asarray(mean.se)
    return weights["num_particles"].values, np.asarray(mean.mean), se
