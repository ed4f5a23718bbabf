"""What is drawn into panels: curves of any lengths, each member in its colour, as lines, points, bands and errors.

`draw` maps a visual over the members of a panel, `(member, plot_axis, point)` arrays made by `curves`; members have a
colour each, kept in the collection's aesthetics, so that `add_legend` knows them. A visual takes `(da, target,
**style)`, as those of `arviz_plots.visuals` do, and may be mapped by itself. Lines, points and errors may be drawn
`sideways`, x upwards and y to the right.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from itertools import count
from typing import Any, Literal

import numpy as np
import xarray as xr
from arviz_plots.plot_collection import PlotCollection, backend_from_object
from arviz_plots.visuals import fill_between_y, line_xy, scatter_xy
from numpy.typing import ArrayLike

Series = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike]


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
    ignore: Collection[str] = (),
    **style: Any,
) -> None:
    """Maps a visual over the members of a panel, each in its colour and with its other aesthetics but for `ignore`.

    A `color` in `style` is for a panel's only member, such as a line for reference: it takes no colour of the cycle and
    stands in no legend. The visual is stored in the collection under `label`, by default its own name, with a number
    behind it where that holds visuals of other members.
    """
    names = [str(name) for name in data[dim].values]
    ignored: set[str] | Literal["all"] = set(ignore)
    if "color" in style:
        data, names, ignored = data.squeeze(dim), [], "all"
    else:
        colour_members(collection, names, dim)
    label = _free_label(collection, label or visual.__name__, panel, names, dim)
    collection.map(visual, label, data=data.to_dataset(name=panel), ignore_aes=ignored, **style)


def colour_members(collection: PlotCollection, names: Sequence[str], dim: str = "member") -> None:
    """Gives each member that has none the next colour of the cycle."""
    known = _known(collection, "color", dim)
    names = [name for name in dict.fromkeys(names) if name not in known]
    style_members(collection, {name: {"color": f"C{len(known) + i}"} for i, name in enumerate(names)}, dim)


def style_members(collection: PlotCollection, styles: Mapping[str, Mapping[str, str]], dim: str = "member") -> None:
    """Gives members the values of aesthetics such as `color` and `marker`; the same of them for all members."""
    if not styles:
        return
    if collection.backend == "plotly":  # so that a click on a legend's entry hides all that belongs to the member
        styles = {name: {**style, "legendgroup": name} for name, style in styles.items()}
    for aesthetic in next(iter(styles.values())):
        values = _known(collection, aesthetic, dim) | {name: style[aesthetic] for name, style in styles.items()}
        mapping = xr.DataArray(list(values.values()), dims=dim, coords={dim: list(values)}, name="mapping")
        collection.update_aes_from_dataset(aesthetic, mapping.to_dataset())


def _known(collection: PlotCollection, aesthetic: str, dim: str) -> dict[str, str]:
    """The values of an aesthetic by member."""
    if aesthetic not in collection.aes.children or dim not in collection.aes[aesthetic].dims:
        return {}
    mapping = collection.get_aes_as_dataset(aesthetic)["mapping"]
    return {str(name): str(value) for name, value in zip(mapping[dim].values, mapping.values, strict=True)}


def line(da: xr.DataArray, target: Any, *, sideways: bool = False, **style: Any) -> Any:
    """A line through the finite points."""
    x, y = _rows(da, "x", "y")
    return line_xy(xr.DataArray(0), target, **_places(x, y, sideways), **style)


def points(da: xr.DataArray, target: Any, *, sideways: bool = False, **style: Any) -> Any:
    """The finite points."""
    x, y = _rows(da, "x", "y")
    return scatter_xy(xr.DataArray(0), target, **_places(x, y, sideways), **style)


def band(da: xr.DataArray, target: Any, **style: Any) -> Any:
    """The region from `low` to `high`."""
    x, low, high = _rows(da, "x", "low", "high")
    style = {"alpha": 0.25} | style
    return fill_between_y(xr.DataArray(0), target, x=x, y_bottom=low, y_top=high, **style) if x.size else None


def error_bars(da: xr.DataArray, target: Any, *, sideways: bool = False, **style: Any) -> Any:
    """Vertical lines from `low` to `high`, all in one artist: one for each costs Plotly seconds for a thousand data."""
    x, low, high = _rows(da, "x", "low", "high")
    gap = np.full(x.shape, np.nan)
    x, y = np.stack([x, x, gap], axis=1).ravel(), np.stack([low, high, gap], axis=1).ravel()
    return line_xy(xr.DataArray(0), target, **_places(x, y, sideways), **style) if x.size else None


def steps(da: xr.DataArray, target: Any, **style: Any) -> Any:
    """A line that keeps the height of a point up to the next one."""
    x, y = _rows(da, "x", "y")
    backend = import_module(f"arviz_plots.backend.{backend_from_object(target, return_module=False)}")
    return backend.step(x, y, target, step_mode="after", **style)


def _rows(da: xr.DataArray, *axes: str) -> list[np.ndarray]:
    """The rows `axes` of `plot_axis`, at the points where all of them are finite."""
    rows = [da.sel(plot_axis=axis).values for axis in axes]
    return [row[np.isfinite(rows).all(axis=0)] for row in rows]


def _places(x: np.ndarray, y: np.ndarray, sideways: bool) -> dict[str, np.ndarray]:
    return {"x": y, "y": x} if sideways else {"x": x, "y": y}


def _free_label(collection: PlotCollection, label: str, panel: str, names: list[str], dim: str) -> str:
    def is_free(label: str) -> bool:
        if label not in collection.viz.children:
            return True
        stored = collection.viz[label].to_dataset()
        return panel not in stored and names == [str(name) for name in stored.coords.get(dim, ())]

    numbered = (label if number == 1 else f"{label}_{number}" for number in count(1))
    return next(filter(is_free, numbered))
