"""Plots of draws of several methods side by side, whatever the data: points, bits, images, or tables."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from arviz_plots import visuals
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_sizes, finite_array
from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots._parts.axes import set_ticks, whole_numbers
from dpm_ppl.analysis.plots._parts.inputs import as_vectors
from dpm_ppl.analysis.plots._parts.panels import FIGURE_WIDTH, panels
from dpm_ppl.analysis.plots._parts.visuals import colour_image, image, set_equal_axes
from dpm_ppl.analysis.plots.grids import mosaic
from dpm_ppl.analysis.plots.pairs import plot_pairs
from dpm_ppl.data.columns import Column

LARGEST_PANEL = 500.0  # dots
MARGIN = 0.08  # around the draws that set the limits, as a share of their extent
MOST_UNLIKE = 3.0
"""How many times longer one side of the plane may be than the other for both to have one scale."""


def plot_draws(
    draws: Mapping[str, ArrayLike],
    *,
    columns: Sequence[str | Column] | None = None,
    num_panels_wide: int = 3,
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """Draws of several methods as what they are: vectors in a pair plot, all else in a panel for each method.

    Sequences of bits are rows of cells, arrays of two axes grey images, those of three axes, the last or first of them
    of length 3, images in colours. Points of the plane without names of their columns have a panel for each method too;
    all other vectors, and those of named `columns`, are drawn by `plot_pairs`. Scalars are vectors of one coordinate.

    The limits and the scale of shades are those of the first of `draws`, so that the data themselves, put first, show
    what the others miss; the others' points beyond them are not seen.

    **Arguments:** `draws`, by name, arrays `(draw, *event_shape)` of one event shape; for all but pair plots of as many
    draws. `columns`, for vectors, as `plot_pairs` has them.

    **Raises:** `InputError` for no draws, shapes that differ, and events of other axes.
    """
    arrays = {name: as_images(as_vectors(values)) for name, values in draws.items()}
    first = next(iter(arrays.values()), np.zeros(0))
    if first.ndim == 2 and 0 not in first.shape and (columns is not None or not _in_panels(arrays)):
        return plot_pairs(arrays, columns=columns, title=title, backend=backend)
    shape = first.shape
    is_coloured = len(shape) == 4 and shape[-1] == 3
    alike = {array.shape for array in arrays.values()} == {shape}
    if not alike or not (len(shape) in (2, 3) or is_coloured) or 0 in shape:
        raise InputError(
            "draws",
            expected="arrays (draw, size), (draw, height, width) or (draw, height, width, 3), alike for all methods",
            got=", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none",
            remedy="draw as many from each",
        )
    check_sizes(num_panels_wide=num_panels_wide)
    stacked = np.stack([finite_array(f"draws[{name!r}]", array, shape) for name, array in arrays.items()]).astype(float)
    wide = min(num_panels_wide, len(arrays))
    size = min(FIGURE_WIDTH / wide, LARGEST_PANEL)
    layout = {"backend": backend, "title": title, "cols": ["member"], "col_wrap": wide}
    if len(shape) == 2 and shape[1] == 2:
        return _planes(list(arrays), stacked, size, layout)
    return _cells(list(arrays), stacked, size, layout)


def as_images(values: np.ndarray) -> np.ndarray:
    """Colour images with their channels last, wherever they were, and grey ones without an axis for their channel."""
    if values.ndim != 4:
        return values
    if values.shape[1] in (1, 3) and values.shape[-1] not in (1, 3):
        values = np.moveaxis(values, 1, -1)
    return values[..., 0] if values.shape[-1] == 1 else values


def _in_panels(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether vectors are points of the plane, or sequences of bits."""
    if any(array.shape[1:] == (2,) for array in arrays.values()):
        return True
    return all(array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all() for array in arrays.values())


def _planes(names: list[str], points: np.ndarray, size: float, layout: dict) -> PlotCollection:
    data = xr.Dataset({"x_0": (("member", "draw", "plot_axis"), points)}, {"member": names, "plot_axis": ["x", "y"]})
    collection = panels(data, panel_size=(size, size + 40), **layout)
    collection.map(visuals.scatter_xy, "draws", size=6, alpha=0.4, width=0, color="C0")
    extents = np.ptp(points[0], axis=0)
    for name in names:
        panel = collection.get_target("x_0", {"member": name})
        visuals.labelled_title(None, panel, text=name, size=12)
        if extents.max() <= MOST_UNLIKE * extents.min() or extents.min() == 0:
            set_equal_axes(panel, *_square(points[0]))
        else:
            lowest = points[0].min(axis=0)
            x, y = np.stack([lowest - MARGIN * extents, lowest + (1 + MARGIN) * extents], axis=1).tolist()
            visuals.set_xlim(None, panel, limits=tuple(x))
            visuals.set_ylim(None, panel, limits=tuple(y))
    return collection


def _cells(names: list[str], values: np.ndarray, size: float, layout: dict) -> PlotCollection:
    are_images = values.ndim > 3
    cells = np.stack([_mosaic(images) for images in values]) if are_images else values
    num_rows, num_columns = cells.shape[1:3]
    dims = ("member", "row", "column", "channel")[: cells.ndim]
    places = {"member": names, "row": np.arange(num_rows), "column": np.arange(num_columns)}
    ratio = min(max(num_rows / num_columns, 0.5), 2.0)
    data = xr.Dataset({"x_0": (dims, cells)}, places)
    collection = panels(data, panel_size=(size, size * ratio + 40), **layout)
    limits = float(values[0].min()), float(values[0].max())
    collection.map(colour_image if cells.ndim == 4 else image, limits=limits)
    gap = 0.03 * num_columns if are_images else 0.0  # between the images of one method and the next
    view = (-0.5 - gap, num_columns - 0.5 + gap), (num_rows - 0.5 + gap, -0.5 - gap)
    for name in names:
        panel = collection.get_target("x_0", {"member": name})
        visuals.labelled_title(None, panel, text=name, size=12)
        if are_images:
            set_equal_axes(panel, *view)
            visuals.remove_axis(None, panel, axis="both")
            continue
        visuals.set_xlim(None, panel, limits=view[0])
        visuals.set_ylim(None, panel, limits=view[1])
        numbers = whole_numbers([1, num_columns], most=5)
        set_ticks(None, panel, [number - 1 for number in numbers], [str(number) for number in numbers])
        visuals.labelled_x(None, panel, text="place in the sequence")
        visuals.remove_axis(None, panel, axis="y")
    return collection


def _mosaic(images: np.ndarray) -> np.ndarray:
    return mosaic(images, math.ceil(math.sqrt(len(images))), 1)


def _square(points: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    lowest, highest = points.min(axis=0), points.max(axis=0)
    reach = float((highest - lowest).max()) * (0.5 + MARGIN) or 1.0
    (x, y) = (lowest + highest) / 2
    return (float(x - reach), float(x + reach)), (float(y - reach), float(y + reach))
