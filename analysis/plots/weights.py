"""Plots of importance weights: their spread, k-hat of every datum, and estimates against exact values."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.wording import khat_words
from dpm_ppl.analysis.plots._parts.axes import label_axes, whole_numbers
from dpm_ppl.analysis.plots._parts.inputs import Group, bits_or_nats, group, left_out, log_density_in
from dpm_ppl.analysis.plots._parts.members import Series, curves, draw, error_bars, line, points, steps, style_members
from dpm_ppl.analysis.plots._parts.panels import legend, panels
from dpm_ppl.data.units import Units
from dpm_ppl.likelihood.diagnostics import (
    DOUBTFUL,
    LARGEST_USABLE_KHAT,
    RELIABLE,
    TOO_FEW,
    UNUSABLE,
    VERDICTS,
    most_reliable_khat,
    weight_histogram,
)

Kind = Literal["ecdf", "histogram"]

NUM_SHOWN = 4
"""Data whose weights are shown where none are chosen."""
TOO_HIGH = 3.0
"""Standard errors above the exact value from which an estimate is marked."""
STYLES = {
    RELIABLE: {"color": "#3f90da", "marker": "C0"},
    DOUBTFUL: {"color": "#ffa90e", "marker": "C2"},
    UNUSABLE: {"color": "#bd1f01", "marker": "C5"},
    TOO_FEW: {"color": "#94a4a2", "marker": "C4"},
}
"""Blue, orange, red and grey, which colour-blind readers tell apart (Petroff 2021), and a shape for each verdict."""


def plot_weights(
    weights: Group,
    *,
    data: Sequence[int] | None = None,
    kind: Kind = "ecdf",
    num_bins: int = 50,
    unit: str = "bits",
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """Log-weights of a few data, less the logarithm of their mean weight: what lies far right carries the estimate.

    The panel is called `log_weights`. Weights of zero have no place on the axis: the ECDF starts at their share, the
    histogram leaves them out.

    **Arguments:** `weights`, a group by `weights_group` with log-weights that were kept, or a tree that has it; `data`,
    which of its coordinate `datum`, by default the first four; `kind`, `ecdf` or `histogram`, of `num_bins`; `unit`,
    `bits` or `nats`. For the others see `plot_ladder`.

    **Raises:** `InputError` where no log-weights were kept, no finite ones are there, or a datum is not.
    """
    factor = bits_or_nats(unit)
    one_of("kind", kind, get_args(Kind))
    found = group(weights, "weights", "log_weights", "khat")
    known = found["datum"].values
    shown = known[:NUM_SHOWN] if data is None else np.asarray(data)
    if not len(shown) or not np.isin(shown, known).all():
        got = list(np.setdiff1d(shown, known)) or "none"
        raise InputError("data", expected="data of the group", got=got, remedy="choose from its coordinate datum")
    found = found.sel(datum=shown)
    log_weights = found["log_weights"].transpose("datum", "draw").values
    counts, edges = weight_histogram(log_weights, num_bins)
    failed = np.isnan(log_weights).any(axis=1)
    names = [
        f"datum {i}, {'weights that are no numbers' if bad else f'k-hat {khat_words(khat)}'}"
        for i, khat, bad in zip(shown, found["khat"].values, failed, strict=True)
    ]
    if kind == "histogram":
        outline = [np.concatenate([[0], row, [0]]) for row in counts]
        series: dict[str, Series] = {
            name: (factor * np.append(edges[0], edges), y) for name, y in zip(names, outline, strict=True)
        }
    else:
        series = {name: _ecdf(row, factor) for name, row in zip(names, log_weights, strict=True)}
    collection = panels(["log_weights"], backend, plot_collection, figure_kwargs, title)
    draw(collection, steps, "log_weights", curves(series))
    label = "share of the draws" if kind == "ecdf" else "draws"
    label_axes(collection, "log_weights", x=f"log-weight, less the log of the mean weight ({unit})", y=label)
    legend(collection, plot_collection)
    return collection


def plot_khat_per_datum(
    weights: Group,
    *,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """Pareto k-hat of every datum, in a colour and a shape for each verdict, with lines at two thresholds.

    The lower one is what a datum's number of draws allows, 0.7 at most, the upper one 1 (Vehtari et al. 2024). The
    panel is called `khat`. Data without a fitted tail (see `pareto_khat`) are counted in the label of the axis.

    **Arguments:** `weights`, a group by `weights_group` or a tree that has it. For the others see `plot_ladder`.

    **Raises:** `InputError` where the group has no k-hat.
    """
    found = group(weights, "weights", "khat", "verdict", "num_draws")
    datum, khat, verdict, num_draws = (found[name].values for name in ("datum", "khat", "verdict", "num_draws"))
    collection = panels(["khat"], backend, plot_collection, figure_kwargs, title)
    shown = {name: (verdict == name) & np.isfinite(khat) for name in VERDICTS}
    shown = {name: of for name, of in shown.items() if of.any()}
    style_members(collection, {name: STYLES[name] for name in shown})
    if shown:
        draw(collection, points, "khat", curves({name: (datum[of], khat[of]) for name, of in shown.items()}), size=30)
    allowed = most_reliable_khat(num_draws)
    for name, threshold in (("most_reliable", allowed), ("largest_usable", np.full(len(datum), LARGEST_USABLE_KHAT))):
        draw(collection, line, "khat", curves({name: (datum, threshold)}), label=name, color="B2", linestyle="C1")
    missing = int((~np.isfinite(khat)).sum())
    label_axes(
        collection,
        "khat",
        x=f"datum ({missing} without k-hat)" if missing else "datum",
        y="Pareto k-hat of the weights",
        x_ticks=whole_numbers(datum),
    )
    if shown:
        legend(collection, plot_collection, title="the estimate is", of_points=True)
    return collection


def plot_exact_against_estimated(
    weights: Group,
    exact: ArrayLike,
    *,
    unit: str = "bits/point",
    units: Units | None = None,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """Estimated against exact log-likelihood, a point with its Monte-Carlo standard error per datum, and the diagonal.

    Estimates more than three standard errors above the exact value have a colour of their own. Where that is the
    model's own likelihood, many of them speak of a mistake: by Jensen's inequality estimates are too low on average.
    Where it is the law of the data, a model may well give some data more than that does, but not all on average. The
    panel is called `log_likelihood`.

    **Arguments:** `weights`, a group by `weights_group` or a tree that has it; `exact`, shape `(datum,)`, nats of
    standardised data, for the same data in the same order. For the others see `plot_ladder`.

    **Raises:** `InputError` where the exact values do not fit the group, or no datum has two finite values.
    """
    factor, offset = log_density_in(unit, units)
    found = group(weights, "weights", "log_likelihood", "se")
    estimated, se = (np.asarray(found[name].values, np.float64) for name in ("log_likelihood", "se"))
    exact = np.asarray(exact, np.float64)
    finite = np.isfinite(estimated) & np.isfinite(exact) if exact.shape == estimated.shape else np.zeros(1, bool)
    if not finite.any():
        raise InputError(
            "exact",
            expected=f"shape {estimated.shape}, finite where there are estimates",
            got=f"shape {exact.shape}",
            remedy="evaluate the density at the data that were scored",
        )
    missing = left_out(finite)
    exact, estimated, se = exact[finite], estimated[finite], se[finite]
    above = estimated - exact > TOO_HIGH * se
    x, y, error = exact * factor + offset, estimated * factor + offset, se * factor
    collection = panels(["log_likelihood"], backend, plot_collection, figure_kwargs, title)
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    draw(collection, line, "log_likelihood", curves({"": (ends, ends)}), label="diagonal", color="B2", linestyle="C1")
    members = {"estimate": ~above, f"more than {TOO_HIGH:.0f} standard errors above": above}
    styles = {name: {"color": f"C{i}", "marker": f"C{2 * i}"} for i, name in enumerate(members)}
    members = {name: of for name, of in members.items() if of.any()}
    style_members(collection, {name: styles[name] for name in members})
    drawn = curves({name: (x[of], y[of], error[of]) for name, of in members.items()})
    draw(collection, error_bars, "log_likelihood", drawn, ignore=("marker",))
    draw(collection, points, "log_likelihood", drawn)
    shown = "standardised data" if units is None else "the data as given"
    x_label, y_label = f"exact log-likelihood of {shown} ({unit})", f"estimate ({unit}{missing})"
    label_axes(collection, "log_likelihood", x=x_label, y=y_label)
    legend(collection, plot_collection, of_points=True)
    return collection


def _ecdf(log_weights: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    ordered = np.sort(log_weights)
    with np.errstate(invalid="ignore"):  # of weights that are no numbers nothing is shown
        mean = np.logaddexp.reduce(ordered) - np.log(len(ordered))
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    there = np.isfinite(ordered)
    return factor * (ordered[there] - mean), share[there]
