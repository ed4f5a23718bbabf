"""Plots of images side by side, grey or in colours."""

import math

import numpy as np
import xarray as xr
from arviz_plots import visuals
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_sizes, finite_array
from dpm_ppl.analysis.plots._parts.panels import panels
from dpm_ppl.analysis.plots._parts.visuals import Shade, colour_image, image, set_equal_axes

GAP = 0.1  # between images, in widths of one
WIDTH, TITLE_HEIGHT = 600.0, 40.0  # dots


def plot_image_grid(
    images: ArrayLike,
    *,
    num_columns: int | None = None,
    limits: tuple[float, float] | None = None,
    high: Shade = "black",
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """Images side by side, row by row, all on one scale of greys, or of red, green and blue.

    **Arguments:** `images`, shape `(num_images, height, width)` or `(num_images, height, width, 3)`, levels or real
    numbers; `num_columns`, by default a grid as near to a square as can be; `limits`, the values at the two ends of the
    scale, by default the smallest and the largest of all; `high`, the shade of the largest of greys: `"black"` suits
    digits, `"white"` photographs.

    **Raises:** `InputError` for another shape, or values that are not finite numbers.
    """
    is_coloured = np.ndim(images) == 4
    images = finite_array("images", images, ("num_images", "height", "width", *((3,) if is_coloured else ())))
    num_images, _, width = images.shape[:3]
    num_columns = math.ceil(math.sqrt(num_images)) if num_columns is None else num_columns
    check_sizes(num_columns=num_columns)
    num_columns = min(num_columns, num_images)
    limits = (float(images.min()), float(images.max())) if limits is None else limits

    tiled = mosaic(images, num_columns, max(1, round(GAP * width)))
    num_rows_of_cells, num_columns_of_cells = tiled.shape[:2]
    cells = xr.Dataset(
        {"images": (("row", "column", "channel")[: tiled.ndim], tiled)},
        {"row": np.arange(num_rows_of_cells), "column": np.arange(num_columns_of_cells)},
    )
    size = WIDTH, WIDTH * num_rows_of_cells / num_columns_of_cells + TITLE_HEIGHT * (title is not None)
    collection = panels(cells, backend=backend, title=title, panel_size=size)
    if is_coloured:
        collection.map(colour_image, limits=limits)
    else:
        collection.map(image, limits=limits, high=high)
    panel = collection.get_target("images", {})
    set_equal_axes(panel, (-0.5, num_columns_of_cells - 0.5), (num_rows_of_cells - 0.5, -0.5))
    visuals.remove_axis(None, panel, axis="both")
    return collection


def mosaic(images: np.ndarray, num_columns: int, gap: int) -> np.ndarray:
    """All images in one, with NaN in `gap` rows and columns between neighbours and where there is none.

    Images are `(num_images, height, width)`, or have an axis of channels behind these.
    """
    num_images, height, width, *channels = images.shape
    num_rows = math.ceil(num_images / num_columns)
    mosaic = np.full((num_rows * num_columns, height + gap, width + gap, *channels), np.nan)
    mosaic[:num_images, :height, :width] = images
    mosaic = mosaic.reshape(num_rows, num_columns, height + gap, width + gap, *channels).swapaxes(1, 2)
    return mosaic.reshape(num_rows * (height + gap), num_columns * (width + gap), *channels)[:-gap, :-gap]
