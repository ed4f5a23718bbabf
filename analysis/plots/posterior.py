"""A plot of what was observed beside what follows from it, an observation a row: images, marginals, or profiles."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from arviz_plots import visuals
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import finite_array
from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots._parts.axes import label_axes
from dpm_ppl.analysis.plots._parts.members import band, curves, draw, line, points, steps
from dpm_ppl.analysis.plots._parts.panels import FIGURE_WIDTH, legend, panels
from dpm_ppl.analysis.plots._parts.visuals import colour_image, image, set_equal_axes
from dpm_ppl.analysis.plots.draws import as_images
from dpm_ppl.analysis.plots.grids import mosaic

MOST_OBSERVATIONS, MOST_MARGINALS = 8, 6
"""Rows of the figure, and coordinates that have a panel each."""
NUM_DRAWS, NUM_BINS = 3, 24
UNSEEN = (0.72, 0.83, 0.94)
"""Red, green and blue where nothing was observed."""
TITLE_HEIGHT, ROW_HEIGHT = 30.0, 170.0  # dots


def plot_posterior(
    observed: ArrayLike,
    draws: ArrayLike,
    *,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """What was observed beside posterior draws, their mean and standard deviation, at most eight observations.

    Images, and sequences of bits, are drawn as such, with three draws each; unobserved cells are blue. Vectors of up to
    six coordinates have a histogram of the draws for each, with a line where the observation lies. All else is drawn as
    a profile: mean and standard deviation against the number of the coordinate, and points that were observed.

    **Arguments:** `observed`, `(observation, *event_shape)`, NaN where nothing was observed; `draws`, of equal weight,
    `(observation, draw, *event_shape)`; `columns`, names of the coordinates of a vector.

    **Raises:** `InputError` for shapes that do not fit, and draws that are not finite.
    """
    seen = np.asarray(observed, np.float64)
    values = np.asarray(draws)
    if seen.ndim < 2 or values.ndim != seen.ndim + 1 or values.shape[::2][:1] + values.shape[2:] != seen.shape:
        raise InputError(
            "draws",
            expected=f"(observation, draw, ...), which fits observations {seen.shape}",
            got=f"shape {values.shape}",
            remedy="draw equally many for each observation",
        )
    values = finite_array("draws", values, values.shape).astype(float)[:MOST_OBSERVATIONS]
    seen = seen[:MOST_OBSERVATIONS]
    are_bits = bool(np.isin(values, (0, 1)).all())
    if seen.ndim == 2 and are_bits:
        seen, values = seen[:, None], values[:, :, None]
    as_drawn = as_images(values[:, 0])
    if as_drawn.ndim == 3 or (as_drawn.ndim == 4 and as_drawn.shape[-1] == 3):
        return _images(seen, values, title, backend)
    seen, values = seen.reshape(len(seen), -1), values.reshape(*values.shape[:2], -1)
    if seen.shape[1] <= MOST_MARGINALS:
        return _marginals(seen, values, columns, title, backend)
    return _profiles(seen, values, title, backend)


def _images(seen: np.ndarray, values: np.ndarray, title: str | None, backend: str | None) -> PlotCollection:
    chosen = {f"draw {number + 1}": values[:, number] for number in range(min(NUM_DRAWS, values.shape[1]))}
    members = {"observed": seen, **chosen, "mean": values.mean(axis=1), "standard deviation": values.std(axis=1)}
    cells = np.stack([mosaic(as_images(one), 1, 1) for one in members.values()])
    num_rows, num_columns = cells.shape[1:3]
    places = {"member": list(members), "row": np.arange(num_rows), "column": np.arange(num_columns)}
    data = xr.Dataset({"x_0": (("member", "row", "column", "channel")[: cells.ndim], cells)}, places)
    width = FIGURE_WIDTH / len(members)
    size = width, width * num_rows / num_columns + TITLE_HEIGHT
    collection = panels(data, backend=backend, title=title, cols=["member"], col_wrap=len(members), panel_size=size)
    own = {"standard deviation": (0.0, float(np.nanmax(members["standard deviation"])) or 1.0)}
    low, high = float(values.min()), float(values.max())
    for name in members:
        panel = collection.get_target("x_0", {"member": name})
        if name == "observed":  # what shows where nothing was
            inside = mosaic(np.ones(as_images(seen).shape[:3]), 1, 1)[..., None] * UNSEEN
            under = xr.DataArray(inside, {dim: places[dim] for dim in ("row", "column")}, ("row", "column", "channel"))
            colour_image(under, panel, limits=(0.0, 1.0))
        limits = own.get(name, (low, high if high > low else low + 1.0))
        visual = colour_image if cells.ndim == 4 else image
        visual(data["x_0"].sel(member=name), panel, limits=limits)
        visuals.labelled_title(None, panel, text=name, size=11)
        set_equal_axes(panel, (-0.5, num_columns - 0.5), (num_rows - 0.5, -0.5))
        visuals.remove_axis(None, panel, axis="both")
    return collection


def _marginals(
    seen: np.ndarray, values: np.ndarray, columns: Sequence[str] | None, title: str | None, backend: str | None
) -> PlotCollection:
    num, width = seen.shape
    names = [f"coordinate {place}" for place in range(width)] if columns is None else list(columns)
    places = {"observation": np.arange(num), "coordinate": names}
    data = xr.Dataset({"x_0": (("observation", "coordinate"), seen)}, places)
    size = FIGURE_WIDTH / max(width, 2), ROW_HEIGHT
    collection = panels(data, backend=backend, title=title, rows=["observation"], cols=["coordinate"], panel_size=size)
    for row, column in np.ndindex(num, width):
        panel = collection.get_target("x_0", {"observation": row, "coordinate": names[column]})
        shown = values[row, :, column]
        heights, edges = np.histogram(shown, _edges(np.append(values[:, :, column], seen[:, column])))
        outline = np.concatenate([[0], heights / len(shown), [0]])
        steps(curves({"": (np.append(edges[0], edges), outline)}).squeeze("member"), panel, color="C0")
        if np.isfinite(seen[row, column]):
            mark = curves({"": (np.full(2, seen[row, column]), [0.0, outline.max()])}).squeeze("member")
            line(mark, panel, color="C1")
        if row == 0:
            visuals.labelled_title(None, panel, text=names[column], size=11)
        if column == 0:
            visuals.labelled_y(None, panel, text=f"observation {row}")
    return collection


def _edges(shown: np.ndarray) -> np.ndarray:
    """Of the bins of a coordinate, alike for all observations; around the value where it is known exactly."""
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    least = 1e-6 * max(abs(low), abs(high), 1e-6)
    if high - low < least:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, NUM_BINS + 1)


def _profiles(seen: np.ndarray, values: np.ndarray, title: str | None, backend: str | None) -> PlotCollection:
    names = [f"observation {row}" for row in range(len(seen))]
    wide = min(2, len(names))
    size = FIGURE_WIDTH / wide, 1.3 * ROW_HEIGHT
    collection = panels(names, backend, None, None, title, col_wrap=wide, panel_size=size)
    place = np.arange(seen.shape[1])
    for row, name in enumerate(names):
        mean, deviation = values[row].mean(axis=0), values[row].std(axis=0)
        inferred = curves({"mean ± standard deviation": (place, mean, deviation)})
        draw(collection, band, name, inferred)
        draw(collection, line, name, inferred)
        draw(collection, points, name, curves({"observed": (place, seen[row])}), size=12)
        label_axes(collection, name, x="coordinate", title=name)
    legend(collection)
    return collection
