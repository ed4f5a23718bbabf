"""What the plots share: panels on a `PlotCollection`, visuals for curves with errors, logarithmic axes, units.

A plot is made in three moves. `panels` gives the collection, one panel per variable of a dataset (or per coordinate of
a dimension). `draw` maps a visual over the members of a panel, `(member, plot_axis, point)` arrays made by `curves`;
members have a colour each, kept in the collection's aesthetics, so that `add_legend` knows them. `label_axes` names
the axes. A visual takes `(da, target, **style)`, as those of `arviz_plots.visuals` do, and may be mapped by itself.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from importlib import import_module
from itertools import count
from math import log
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from arviz_base import rcParams
from arviz_plots.plot_collection import PlotCollection, backend_from_object
from arviz_plots.visuals import fill_between_y, labelled_title, labelled_x, labelled_y, line_xy, scatter_xy
from numpy.typing import ArrayLike

from dpm_ppl._errors import InputError
from dpm_ppl.units import Units

Backend = Literal["matplotlib", "plotly", "bokeh", "none"]
Group = xr.Dataset | xr.DataTree
Series = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike]

PANEL_SIZE = (600, 340)
"""Width and height of one panel, in dots."""
PLOTLY_SPACING = 0.25
"""Height of the gaps between rows of panels, as a share of a panel's; Plotly leaves half a panel."""
PLOTLY_MARGIN = {"l": 70, "r": 20, "t": 50, "b": 50}


def panels(
    data: xr.Dataset | Sequence[str],
    *,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
    cols: Sequence[Hashable] = ("__variable__",),
    rows: Sequence[Hashable] = (),
    col_wrap: int = 1,
    panel_size: tuple[float, float] = PANEL_SIZE,
) -> PlotCollection:
    """The collection to draw into: the given one, if it has the panels, or a new one.

    **Arguments:** `data`, the names of the panels, or a dataset whose variables (and coordinates, for other `cols` and
    `rows`) name them; its values are not looked at. `cols`, `rows` as in `PlotCollection.grid`; without
    rows, panels wrap after `col_wrap`. `figure_kwargs` go to the backend's figure.

    **Raises:** `InputError` for an unknown backend, one that is not the collection's, and a collection without the
    panels.
    """
    data = data if isinstance(data, xr.Dataset) else xr.Dataset(dict.fromkeys(data, 0))
    if plot_collection is not None:
        _check_collection(plot_collection, data, backend, {*cols, *rows})
    else:
        backend = rcParams["plot.backend"] if backend is None else backend
        if backend not in get_args(Backend):
            raise InputError(
                "backend", expected=f"one of {', '.join(get_args(Backend))}", got=repr(backend), remedy="name one"
            )
        num_rows, num_cols = _num_panels(data, rows), _num_panels(data, cols)
        if not rows:
            num_rows, num_cols = -(-num_cols // col_wrap), min(num_cols, col_wrap)
        figure = dict(figure_kwargs or {})
        if "figsize" not in figure:
            figure |= {"figsize": (num_cols * panel_size[0], num_rows * panel_size[1]), "figsize_units": "dots"}
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


def curves(series: Mapping[str, Series], dim: str = "member") -> xr.DataArray:
    """Curves of any lengths as one array `(dim, plot_axis, point)`, filled up with NaN.

    **Arguments:** by name, `(x, y)` or `(x, y, se)`; with `se` the rows `low`, `high` are y less and plus one.
    """
    stacked = []
    for x, y, *se in series.values():
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        error = np.asarray(se[0], np.float64) if se else np.full(np.shape(y), np.nan)
        stacked.append(np.stack(np.broadcast_arrays(x, y, y - error, y + error)))
    longest = max(array.shape[1] for array in stacked)
    filled = [np.pad(array, ((0, 0), (0, longest - array.shape[1])), constant_values=np.nan) for array in stacked]
    coords = {dim: list(series), "plot_axis": ["x", "y", "low", "high"]}
    return xr.DataArray(np.stack(filled), dims=(dim, "plot_axis", "point"), coords=coords)


def draw(
    collection: PlotCollection,
    visual: Callable[..., Any],
    panel: str,
    data: xr.DataArray,
    *,
    label: str | None = None,
    dim: str = "member",
    **style: Any,
) -> None:
    """Maps a visual over the members of a panel, each in its colour.

    A `color` in `style` is for a panel's only member, such as a line for reference: it takes no colour of the cycle and
    stands in no legend. The visual is stored in the collection under `label`, by default its own name, with a number
    behind it where that holds visuals of other members.
    """
    names = [str(name) for name in data[dim].values]
    ignored: set[str] | Literal["all"] = set()
    if "color" in style:
        data, names, ignored = data.squeeze(dim), [], "all"
    else:
        colour_members(collection, names, dim)
    label = _free_label(collection, label or visual.__name__, panel, names, dim)
    collection.map(visual, label, data=data.to_dataset(name=panel), ignore_aes=ignored, **style)


def colour_members(collection: PlotCollection, names: Sequence[str], dim: str = "member") -> None:
    """Gives each member that has none the next colour of the cycle."""
    known: list[str] = []
    if "color" in collection.aes.children and dim in collection.aes["color"].dims:
        known = [str(name) for name in collection.get_aes_as_dataset("color")[dim].values]
    names = list(dict.fromkeys([*known, *names]))
    if names != known:
        aesthetics = {"color": [f"C{i}" for i in range(len(names))]}
        if collection.backend == "plotly":  # so that a click on a legend's entry hides all that belongs to the member
            aesthetics["legendgroup"] = names
        for aesthetic, values in aesthetics.items():
            mapping = xr.DataArray(values, dims=dim, coords={dim: names}, name="mapping")
            collection.update_aes_from_dataset(aesthetic, mapping.to_dataset())


def line(da: xr.DataArray, target: Any, **style: Any) -> Any:
    """A line through the finite points."""
    return line_xy(finite(da, "x", "y"), target, **style)


def points(da: xr.DataArray, target: Any, **style: Any) -> Any:
    """The finite points."""
    return scatter_xy(finite(da, "x", "y"), target, **style)


def band(da: xr.DataArray, target: Any, **style: Any) -> Any:
    """The region from `low` to `high`."""
    da = finite(da, "x", "low", "high")
    x, low, high = (da.sel(plot_axis=axis).values for axis in ("x", "low", "high"))
    style = {"alpha": 0.25} | style
    return fill_between_y(xr.DataArray(0), target, x=x, y_bottom=low, y_top=high, **style) if x.size else None


def error_bars(da: xr.DataArray, target: Any, **style: Any) -> Any:
    """Vertical lines from `low` to `high`, all in one artist: one for each costs Plotly seconds for a thousand data."""
    da = finite(da, "x", "low", "high")
    x, low, high = (da.sel(plot_axis=axis).values for axis in ("x", "low", "high"))
    gap = np.full(x.shape, np.nan)
    x, y = np.stack([x, x, gap], axis=1).ravel(), np.stack([low, high, gap], axis=1).ravel()
    return line_xy(xr.DataArray(0), target, x=x, y=y, **style) if x.size else None


def steps(da: xr.DataArray, target: Any, **style: Any) -> Any:
    """A line that keeps the height of a point up to the next one."""
    x, y = (finite(da, "x", "y").sel(plot_axis=axis).values for axis in ("x", "y"))
    backend = import_module(f"arviz_plots.backend.{backend_from_object(target, return_module=False)}")
    return backend.step(x, y, target, step_mode="after", **style)


def finite(da: xr.DataArray, *axes: str) -> xr.DataArray:
    """The rows `axes` of `plot_axis`, at the points where all of them are finite."""
    da = da.sel(plot_axis=list(axes))
    return da.isel(point=np.isfinite(da).all("plot_axis").values)


def log_axis(da: xr.DataArray, target: Any, axis: Literal["x", "y"] = "x") -> Any:
    """Makes an axis logarithmic; `arviz_plots` does so on Matplotlib only."""
    match backend_from_object(target, return_module=False):
        case "none":
            target.append({"function": f"{axis}scale", "scale": "log"})
        case "matplotlib":
            getattr(target, f"set_{axis}scale")("log")
        case "plotly":
            getattr(target, f"update_{axis}axes")(type="log")
        case "bokeh":
            from bokeh.models import LogScale, LogTicker, LogTickFormatter

            ticker = LogTicker()
            setattr(target, f"{axis}_scale", LogScale())
            for drawn in getattr(target, f"{axis}axis"):
                drawn.ticker, drawn.formatter = ticker, LogTickFormatter(ticker=ticker)
            getattr(target, f"{axis}grid").ticker = ticker
    return target


def label_axes(
    collection: PlotCollection,
    panel: str,
    *,
    x: str | None = None,
    y: str | None = None,
    title: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """Labels of the axes and the title of one panel; and which of its axes are logarithmic."""
    data = xr.Dataset({panel: 0})
    for visual, name, text in ((labelled_x, "xlabel", x), (labelled_y, "ylabel", y), (labelled_title, "title", title)):
        if text is not None:
            collection.map(visual, name, data=data, ignore_aes="all", text=text)
    for axis in [axis for axis, wanted in (("x", log_x), ("y", log_y)) if wanted]:
        collection.map(log_axis, data=data, ignore_aes="all", store_artist=False, axis=axis)


def legend(collection: PlotCollection, given: PlotCollection | None, *, title: str = "", dim: str = "member") -> None:
    """A legend of the members, unless the collection was given: who made it knows what else it holds."""
    if given is None:
        # ArviZ shifts the legend upwards on Bokeh, out of sight where no title stands above the figure.
        place = {"margin": 0} if collection.backend == "bokeh" else {}
        collection.add_legend(dim, title=title, **place)


def group(given: Group, name: str, *variables: str) -> xr.Dataset:
    """A group of results that has these variables, itself or out of a tree.

    **Raises:** `InputError` where the group or a variable is missing.
    """
    if isinstance(given, xr.DataTree):
        if name in given.children:
            given = given[name]
        given = given.to_dataset()
    missing = [variable for variable in variables if variable not in given.variables]
    if missing:
        raise InputError(
            name,
            expected=f"a group with {', '.join(variables)}",
            got=f"one without {missing[0]}",
            remedy=f"make it by dpm_ppl.analysis.tree.{name}_group",
        )
    return given


def bits_or_nats(unit: str) -> float:
    """What to multiply nats by.

    **Raises:** `InputError` for a unit other than bits and nats.
    """
    if unit not in ("bits", "nats"):
        raise InputError("unit", expected="'bits' or 'nats'", got=repr(unit), remedy="choose one of these")
    return 1 / log(2) if unit == "bits" else 1.0


def log_density_in(unit: str, units: Units | None) -> tuple[float, float]:
    """Factor and offset that bring a log-density per point, in nats of standardised data, to `unit`.

    Without `units` the data stay standardised, and `unit` is `bits/point` or `nats/point`.
    """
    if units is not None:
        factor = units.in_units(1.0, unit)
        return factor, units.log_det * factor
    amount, _, whole = unit.partition("/")
    if whole != "point":
        raise InputError(
            "unit", expected="'bits/point' or 'nats/point'", got=repr(unit), remedy="pass units for any other"
        )
    return bits_or_nats(amount), 0.0


def _free_label(collection: PlotCollection, label: str, panel: str, names: list[str], dim: str) -> str:
    def is_free(label: str) -> bool:
        if label not in collection.viz.children:
            return True
        stored = collection.viz[label].to_dataset()
        return panel not in stored and names == [str(name) for name in stored.coords.get(dim, ())]

    numbered = (label if number == 1 else f"{label}_{number}" for number in count(1))
    return next(filter(is_free, numbered))


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
