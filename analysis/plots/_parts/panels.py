"""The panels that plots are drawn into, on a `PlotCollection`, and their legend.

A plot is made in three moves. `panels` gives the collection, one panel per variable of a dataset (or per coordinate of
a dimension). `members.draw` maps a visual over the members of a panel. `axes.label_axes` names the axes.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from arviz_base import rcParams
from arviz_plots.plot_collection import PlotCollection

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError

Backend = Literal["matplotlib", "plotly", "bokeh", "none"]

FIGURE_WIDTH, PANEL_HEIGHT = 1000.0, 340.0
"""Of a figure whose panels share its width between them, and of one row of them, in dots."""
PLOTLY_SPACING = 0.25
"""Height of the gaps between rows of panels, as a share of a panel's; Plotly leaves half a panel."""
PLOTLY_MARGIN = {"l": 70, "r": 20, "t": 50, "b": 50}


def panels(
    data: xr.Dataset | Sequence[str],
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
    *,
    cols: Sequence[Hashable] = ("__variable__",),
    rows: Sequence[Hashable] = (),
    col_wrap: int = 1,
    panel_size: tuple[float, float] | None = None,
) -> PlotCollection:
    """The collection to draw into: the given one, if it has the panels, or a new one.

    The first five arguments are those that every plot hands on; what they mean is said once, in `plot_ladder`.

    **Arguments:** `data`, the names of the panels, or a dataset whose variables (and coordinates, for other `cols` and
    `rows`) name them; its values are not looked at. `cols`, `rows` as in `PlotCollection.grid`; without
    rows, panels wrap after `col_wrap`. `panel_size`, width and height in dots. `figure_kwargs` go to the backend's
    figure.

    **Raises:** `InputError` for an unknown backend, one that is not the collection's, and a collection without the
    panels.
    """
    data = data if isinstance(data, xr.Dataset) else xr.Dataset(dict.fromkeys(data, 0))
    if plot_collection is not None:
        _check_collection(plot_collection, data, backend, {*cols, *rows})
    else:
        backend = checked_backend(backend)
        num_rows, num_cols = _num_panels(data, rows), _num_panels(data, cols)
        if not rows:
            num_rows, num_cols = -(-num_cols // col_wrap), min(num_cols, col_wrap)
        figure = dict(figure_kwargs or {})
        if "figsize" not in figure:
            width, height = panel_size or (FIGURE_WIDTH / num_cols, PANEL_HEIGHT)
            figure |= {"figsize": (num_cols * width, num_rows * height), "figsize_units": "dots"}
        if backend == "matplotlib":
            figure.setdefault("layout", "constrained")  # which makes room for legends
        elif backend == "plotly":
            figure.setdefault("vertical_spacing", PLOTLY_SPACING / num_rows)
        if rows:
            layout: dict[str, Any] = {"rows": list(rows), "cols": list(cols)}
            plot_collection = PlotCollection.grid(data, backend=backend, figure_kwargs=figure, **layout)
        else:
            plot_collection = PlotCollection.wrap(
                data, cols=list(cols), col_wrap=col_wrap, backend=backend, figure_kwargs=figure
            )
        if backend == "plotly":
            plot_collection.viz["figure"].item().update_layout(margin=PLOTLY_MARGIN)
    if title is not None:
        plot_collection.add_title(title)
    return plot_collection


def checked_backend(backend: str | None) -> str:
    """The name of the backend, ArviZ's `rcParams["plot.backend"]` if None.

    **Raises:** `InputError` for an unknown one.
    """
    return one_of("backend", rcParams["plot.backend"] if backend is None else backend, get_args(Backend), "name one")


def legend(
    collection: PlotCollection,
    given: PlotCollection | None = None,
    *,
    title: str = "",
    dim: str = "member",
    of_points: bool = False,
    **options: Any,
) -> None:
    """A legend of the members, unless the collection was given: who made it knows what else it holds.

    `of_points` says that members are told by their markers and have no lines; ArviZ can show that on Matplotlib alone.
    `options` are those of ArviZ's `add_legend`.
    """
    if given is not None:
        return
    if collection.backend == "bokeh":  # ArviZ shifts it upwards, out of sight where no title stands above the figure
        options["margin"] = 0
    if of_points and collection.backend == "matplotlib":
        options |= {"aes": ["color", "marker"], "visual_kwargs": {"linestyle": "none"}}
    elif "marker" in collection.aes.children:
        options["aes"] = "color"
    collection.add_legend(dim, title=title, **options)


def _num_panels(data: xr.Dataset, dims: Sequence[Hashable]) -> int:
    sizes = [len(data.data_vars) if dim == "__variable__" else data.sizes[dim] for dim in dims]
    return int(np.prod(sizes, dtype=int))


def _check_collection(collection: PlotCollection, data: xr.Dataset, backend: str | None, facets: set) -> None:
    if backend not in (None, collection.backend):
        raise InputError(
            "backend", expected=f"{collection.backend}, the collection's", got=repr(backend), remedy="leave it out"
        )
    if "plot" in collection.viz.data_vars:  # not one panel per variable
        there = set(collection.viz["plot"].dims) >= facets - {"__variable__"} and len(data.data_vars) == 1
    else:
        there = set(data.data_vars) <= set(collection.viz["plot"].data_vars)
    if not there:
        raise InputError(
            "plot_collection",
            expected=f"a collection with panels for {', '.join(map(str, data.data_vars))}",
            got="one without",
            remedy="make it by the same function, or leave it out",
        )
