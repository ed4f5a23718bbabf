"""What arviz_plots has no visual for: images, arrows, axes of one scale; alike on each of its backends."""

from typing import Any, Literal

import numpy as np
import xarray as xr
from arviz_plots import visuals
from arviz_plots.plot_collection import backend_from_object

Shade = Literal["black", "white"]

HEAD_LENGTH, HEAD_HALF_WIDTH = 0.3, 0.12  # in lengths of the arrow


def image(cells: xr.DataArray, target: Any, *, limits: tuple[float, float], high: Shade = "black") -> Any:
    """Visual for `PlotCollection.map`: a grey cell for each number, none where it is NaN.

    **Arguments:** `cells`, two axes, rows and columns, whose coordinates are the centres of the cells, evenly spaced;
    `limits`, the numbers at the two ends of the scale; `high`, the shade of the upper one.
    """
    values = cells.values
    rows, columns = (cells[dim].values for dim in cells.dims)
    (top, bottom), (left, right) = _edges(rows), _edges(columns)
    low: Shade = "white" if high == "black" else "black"
    match backend_from_object(target, return_module=False):
        case "matplotlib":
            return target.imshow(
                values,
                cmap="gray_r" if high == "black" else "gray",
                vmin=limits[0],
                vmax=limits[1],
                extent=(left, right, bottom, top),
                aspect="auto",
                interpolation="nearest",
            )
        case "plotly":
            from plotly.graph_objects import Heatmap

            ends = {"zmin": limits[0], "zmax": limits[1], "colorscale": [[0, low], [1, high]]}
            heatmap = Heatmap(z=values, x=columns, y=rows, showscale=False, **ends)
            target.add_trace(heatmap)
            return heatmap
        case "bokeh":
            from bokeh.models import LinearColorMapper
            from bokeh.palettes import grey

            palette = grey(256)[::-1] if high == "black" else grey(256)
            mapper = LinearColorMapper(palette=palette, low=limits[0], high=limits[1], nan_color="#00000000")
            target.grid.visible = False  # it would show through the cells that are left out
            place = {"x": left, "y": top, "dw": right - left, "dh": bottom - top}
            return target.image(image=[values.astype(float)], color_mapper=mapper, **place)
        case _:
            record = {"function": "image", "values": values, "x": columns, "y": rows, "limits": limits, "high": high}
            target.append(record)
            return record


def colour_image(cells: xr.DataArray, target: Any, *, limits: tuple[float, float]) -> Any:
    """Visual for `PlotCollection.map`: a cell of red, green and blue for each triple, none where it is NaN.

    **Arguments:** `cells`, rows, columns and three channels, the first two with coordinates as `image` has them;
    `limits`, the numbers that stand for no light and for all of it.
    """
    rows, columns = (cells[dim].values for dim in cells.dims[:2])
    (top, bottom), (left, right) = _edges(rows), _edges(columns)
    low, high = limits
    light = np.clip((cells.values - low) / ((high - low) or 1.0), 0, 1)
    there = np.isfinite(light).all(axis=-1, keepdims=True)
    colours = np.concatenate([np.where(there, light, 0), there], axis=-1)
    match backend_from_object(target, return_module=False):
        case "matplotlib":
            return target.imshow(colours, extent=(left, right, bottom, top), aspect="auto", interpolation="nearest")
        case "plotly":
            from plotly.graph_objects import Image

            shown = np.concatenate([255 * colours[..., :3], colours[..., 3:]], axis=-1)
            picture = Image(z=shown, colormodel="rgba", x0=columns[0], y0=rows[0])
            target.add_trace(picture)
            return picture
        case "bokeh":
            packed = np.ascontiguousarray((255 * colours).round().astype(np.uint8)).view(np.uint32)[..., 0]
            target.grid.visible = False
            return target.image_rgba(image=[packed], x=left, y=top, dw=right - left, dh=bottom - top)
        case _:
            record = {"function": "colour_image", "values": colours, "x": columns, "y": rows}
            target.append(record)
            return record


def arrow_lines(starts: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Arrows as one line with gaps, for the visual `line_xy`, which every backend has.

    **Arguments:** `starts`, `steps`, shape `(num, 2)`. Returns `(6 * num, 2)`: for each arrow its tail, its tip, one
    barb, the tip again, the other barb, and NaN.
    """
    tips = starts + steps
    back = tips - HEAD_LENGTH * steps
    across = HEAD_HALF_WIDTH * np.stack([-steps[:, 1], steps[:, 0]], axis=-1)
    gap = np.full_like(tips, np.nan)
    return np.stack([starts, tips, back + across, tips, back - across, gap], axis=1).reshape(-1, 2)


def set_equal_axes(target: Any, x_limits: tuple[float, float], y_limits: tuple[float, float]) -> None:
    """Set the limits of both axes, and one scale for both."""
    visuals.set_xlim(None, target, limits=x_limits)
    visuals.set_ylim(None, target, limits=y_limits)
    match backend_from_object(target, return_module=False):
        case "matplotlib":
            target.set_aspect("equal")
        case "plotly":
            x_axis = target.figure.get_subplot(target.row, target.col).xaxis.plotly_name.replace("axis", "")
            target.update_xaxes(constrain="domain")
            target.update_yaxes(constrain="domain", scaleanchor=x_axis)
        case "bokeh":  # has this for limits that follow the data, not for given ones
            ratio = abs((y_limits[1] - y_limits[0]) / (x_limits[1] - x_limits[0]))
            width = min(target.width, target.height / ratio)
            target.frame_width, target.frame_height = round(width), round(width * ratio)
            target.width = target.height = None
        case _:
            target.append({"function": "set_equal_axes"})


def _edges(centres: np.ndarray) -> tuple[float, float]:
    half = (centres[-1] - centres[0]) / max(1, len(centres) - 1) / 2 or 0.5
    return float(centres[0] - half), float(centres[-1] + half)
