"""Plots of draws of vectors: a panel for every two columns, and a histogram of each column."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr
from arviz_base.labels import MapLabeller
from arviz_plots import plot_pair, visuals
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import finite_array
from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots._parts.axes import set_ticks, whole_numbers
from dpm_ppl.analysis.plots._parts.inputs import as_vectors
from dpm_ppl.analysis.plots._parts.members import curves, steps, style_members
from dpm_ppl.analysis.plots._parts.panels import FIGURE_WIDTH, checked_backend, legend
from dpm_ppl.data.columns import Column

MOST_COLUMNS = 5
"""Columns shown of a wider table: panels of more would be too small to read."""
REACH = 0.5
"""How far the axes reach beyond the first draws on either side, in extents of these."""
NUM_BINS = 16
MOST_CATEGORIES, LONGEST_LABEL = 6, 8
"""Categories whose names fit beside an axis, and letters of a name."""
LONGEST_NAME = 22
"""Letters of a column's name on one line."""


def plot_pairs(
    draws: Mapping[str, ArrayLike],
    *,
    columns: Sequence[str | Column] | None = None,
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """Draws of several methods in one pair plot, ArviZ's `plot_pair`, with a histogram of each column on the diagonal.

    The axes are those of the first of `draws`, the data themselves, and half their extent more on either side; what
    lies beyond is not seen. Of more than five columns the first five that vary are shown.

    **Arguments:** `draws`, by name, arrays `(draw, column)`, or `(draw,)` for one column, each of any number of draws.
    `columns`, the names, or a `Column` for each: whole numbers then have ticks at whole numbers, categories their
    names.

    **Raises:** `InputError` for no draws, numbers of columns that differ, and values that are not finite numbers.
    """
    backend = checked_backend(backend)
    arrays = {name: as_vectors(values) for name, values in draws.items()}
    widths = {array.shape[1:] for array in arrays.values()}
    if len(widths) != 1 or len(next(iter(widths))) != 1:
        raise InputError(
            "draws",
            expected="arrays (draw, column) of the same columns",
            got=", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none",
            remedy="pass the same columns of each",
        )
    for name, array in arrays.items():
        finite_array(f"draws[{name!r}]", array, ("draw", "column"))
    first = next(iter(arrays.values()))
    places, known = chosen_columns(first), _columns(columns, first.shape[1])
    names = {f"column {place}": "\n".join(wrap(known[place].name, LONGEST_NAME)) for place in places}
    size = FIGURE_WIDTH / 2 if len(places) == 1 else FIGURE_WIDTH
    figure = {"figsize": (size, 0.8 * size), "figsize_units": "dots"}
    if backend == "matplotlib":
        figure["layout"] = "constrained"
    collection: Any = None
    for number, array in reversed(list(enumerate(arrays.values()))):  # the data last, on top of the others
        points = {"color": f"C{number}", "alpha": 0.4 if number else 1.0, "size": 10 if number else 16}
        collection = plot_pair(
            xr.DataTree.from_dict({"posterior": _dataset(array, places)}),
            sample_dims=["draw"],
            facet_dims=["__variable__"],
            triangle="lower",
            labeller=MapLabeller(var_name_map=names),
            visuals={"scatter": points, "dist": False},
            **({"backend": backend, "figure_kwargs": figure} if collection is None else {"plot_matrix": collection}),
        )
    for place in places:
        edges = _edges(first[:, place], known[place])
        panel = collection.get_target(f"column {place}", {}, f"column {place}", {})
        for number, array in reversed(list(enumerate(arrays.values()))):
            counts, _ = np.histogram(array[:, place], edges)
            outline = np.concatenate([[0], counts / len(array), [0]])
            steps(curves({"": (np.append(edges[0], edges), outline)}).squeeze("member"), panel, color=f"C{number}")
    _set_axes(collection, first, places, known)
    style_members(collection, {name: {"color": f"C{number}"} for number, name in enumerate(arrays)})
    if len(arrays) > 1:
        legend(collection, **({"loc": "upper right"} if backend == "matplotlib" and len(places) > 2 else {}))
    if title is not None:
        collection.add_title(title)
    return collection


def chosen_columns(values: np.ndarray) -> list[int]:
    """The first five columns that vary, or as many as do; the first where none does."""
    varying = np.flatnonzero(np.ptp(values, axis=0) > 0)[:MOST_COLUMNS]
    return [int(place) for place in varying] or [0]


def _columns(columns: Sequence[str | Column] | None, num: int) -> list[Column]:
    given = [f"column {place}" for place in range(num)] if columns is None else list(columns)
    if len(given) != num:
        raise InputError("columns", expected=f"{num} of them", got=len(given), remedy="name each column of the draws")
    return [column if isinstance(column, Column) else Column(column) for column in given]


def _dataset(array: np.ndarray, places: list[int]) -> xr.Dataset:
    return xr.Dataset({f"column {place}": ("draw", array[:, place].astype(float)) for place in places})


def _edges(values: np.ndarray, column: Column) -> np.ndarray:
    """Of the bins of a histogram over the whole axis; around whole numbers where the column is discrete."""
    low, high = _limits(values, column)
    if not column.is_discrete:
        return np.linspace(low, high, NUM_BINS + 1)
    width = max(1, round((high - low) / NUM_BINS))
    return np.arange(np.floor(low + 0.5) - 0.5, high + width, width)


def _set_axes(collection: Any, first: np.ndarray, places: list[int], known: list[Column]) -> None:
    for row, of_row in enumerate(places):
        for of_column in places[: row + 1]:
            panel = collection.get_target(f"column {of_column}", {}, f"column {of_row}", {})
            visuals.set_xlim(None, panel, limits=_limits(first[:, of_column], known[of_column]))
            _set_ticks(panel, first[:, of_column], known[of_column], "x")
            if of_row != of_column:
                visuals.set_ylim(None, panel, limits=_limits(first[:, of_row], known[of_row]))
                _set_ticks(panel, first[:, of_row], known[of_row], "y")


def _limits(values: np.ndarray, column: Column) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if column.kind in ("bool", "category"):
        return column.lowest - 0.5, column.highest + 0.5
    reach = REACH * (high - low) or 1.0
    return low - reach, high + reach


def _set_ticks(panel: Any, values: np.ndarray, column: Column, axis: Any) -> None:
    if not column.is_discrete:
        return
    labels = None
    ticks = whole_numbers(np.array([*_limits(values, column)]), most=4)
    if column.labels and len(column.labels) <= MOST_CATEGORIES:
        ticks = list(range(len(column.labels)))
        labels = [label[:LONGEST_LABEL] for label in column.labels]
    set_ticks(None, panel, ticks, labels, axis)
