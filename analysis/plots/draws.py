"""Draws of several methods side by side."""

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr
from arviz_plots import visuals
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._checks import check_sizes
from dpm_ppl._errors import InputError
from dpm_ppl.analysis.plots._inputs import finite_array
from dpm_ppl.analysis.plots._panels import panels
from dpm_ppl.analysis.plots._visuals import image, set_equal_axes
from dpm_ppl.analysis.plots.grids import mosaic

PANEL = 260.0  # dots
MARGIN = 0.08  # around the draws that set the limits, as a share of their extent


def plot_draws(
    draws: Mapping[str, ArrayLike], *, num_panels_wide: int = 3, title: str | None = None, backend: str | None = None
) -> PlotCollection:
    """A panel per method: points of the plane, one-dimensional draws as rows of cells, two-dimensional ones as images.

    The limits and the scale of greys are those of the first of `draws`, so that the data themselves, put first, show
    what the others miss; the others' points beyond them are not seen.

    **Arguments:** `draws`, by name, arrays `(draw, *event_shape)` of one shape.

    **Raises:** `InputError` for no draws, shapes that differ, and events of more than two axes or of none.
    """
    arrays = {name: np.asarray(values) for name, values in draws.items()}
    shapes = {array.shape for array in arrays.values()}
    shape = next(iter(shapes), ())
    if len(shapes) != 1 or len(shape) not in (2, 3) or 0 in shape:
        raise InputError(
            "draws",
            expected="arrays (draw, size) or (draw, height, width), alike for all methods",
            got=", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none",
            remedy="draw as many from each",
        )
    check_sizes(num_panels_wide=num_panels_wide)
    stacked = np.stack([finite_array(f"draws[{name!r}]", array, shape) for name, array in arrays.items()]).astype(float)
    names = {"member": list(arrays)}
    points = shape[1:] == (2,)
    if points:
        data = xr.Dataset({"x_0": (("member", "draw", "plot_axis"), stacked)}, {**names, "plot_axis": ["x", "y"]})
        ratio = 1.0
    else:
        cells = stacked if len(shape) == 2 else np.stack([_square(images) for images in stacked])
        places = {"row": np.arange(cells.shape[1]), "column": np.arange(cells.shape[2])}
        data = xr.Dataset({"x_0": (("member", "row", "column"), cells)}, names | places)
        ratio = min(max(cells.shape[1] / cells.shape[2], 0.5), 2.0)
    wide = min(num_panels_wide, len(arrays))
    size = PANEL, PANEL * ratio + 40
    collection = panels(data, backend=backend, title=title, cols=["member"], col_wrap=wide, panel_size=size)
    if points:
        collection.map(visuals.scatter_xy, "draws", size=4, alpha=0.3, width=0, color="C0")
    else:
        collection.map(image, limits=(float(stacked[0].min()), float(stacked[0].max())))
    for name in arrays:
        panel = collection.get_target("x_0", {"member": name})
        visuals.labelled_title(None, panel, text=name, size=12)
        if points:
            set_equal_axes(panel, *_limits(stacked[0]))
        else:
            rows, columns = data["x_0"].shape[1:]
            limits = (-0.5, columns - 0.5), (rows - 0.5, -0.5)
            if len(shape) == 3:
                set_equal_axes(panel, *limits)
            else:
                visuals.set_xlim(None, panel, limits=limits[0])
                visuals.set_ylim(None, panel, limits=limits[1])
            visuals.remove_axis(None, panel, axis="both")
    return collection


def _square(images: np.ndarray) -> np.ndarray:
    return mosaic(images, math.ceil(math.sqrt(len(images))), 1)


def _limits(points: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    lowest, highest = points.min(axis=0), points.max(axis=0)
    reach = float((highest - lowest).max()) * (0.5 + MARGIN) or 1.0
    (x, y) = (lowest + highest) / 2
    return (float(x - reach), float(x + reach)), (float(y - reach), float(y + reach))
