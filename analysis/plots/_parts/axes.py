"""Axes of panels: labels, logarithmic scales, and ticks where the numbers on an axis can only be some."""

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Literal

import numpy as np
import xarray as xr
from arviz_plots.plot_collection import PlotCollection, backend_from_object
from arviz_plots.visuals import labelled_title, labelled_x, labelled_y
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

Axis = Literal["x", "y"]

MOST_TICKS = 12


def label_axes(
    collection: PlotCollection,
    panel: str,
    *,
    x: str | None = None,
    y: str | None = None,
    title: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
    x_ticks: Sequence[int | float] | None = None,
) -> None:
    """Labels of the axes and the title of one panel, which axes are logarithmic, and where the x axis has ticks."""
    data = xr.Dataset({panel: 0})

    def apply(visual: Callable[..., Any], name: str, **options: Any) -> None:
        collection.map(visual, name, data=data, ignore_aes="all", **options)

    for visual, name, text in ((labelled_x, "xlabel", x), (labelled_y, "ylabel", y), (labelled_title, "title", title)):
        if text is not None:
            apply(visual, name, text=text)
    for axis in [axis for axis, wanted in (("x", log_x), ("y", log_y)) if wanted]:
        apply(log_axis, f"log_{axis}", store_artist=False, axis=axis)
    if x_ticks is not None:
        apply(set_ticks, "xticks", store_artist=False, values=x_ticks, axis="x")


def log_axis(da: xr.DataArray, target: Any, axis: Axis = "x") -> Any:
    """Makes an axis logarithmic, with ticks at powers of ten; `arviz_plots` does so on Matplotlib only."""
    match backend_from_object(target, return_module=False):
        case "none":
            target.append({"function": f"{axis}scale", "scale": "log"})
        case "matplotlib":
            getattr(target, f"set_{axis}scale")("log")
        case "plotly":
            getattr(target, f"update_{axis}axes")(type="log", dtick=1, exponentformat="power")
        case "bokeh":
            from bokeh.models import LogScale, LogTicker, LogTickFormatter

            ticker = LogTicker()
            setattr(target, f"{axis}_scale", LogScale())
            for drawn in getattr(target, f"{axis}axis"):
                drawn.ticker, drawn.formatter = ticker, LogTickFormatter(ticker=ticker)
            getattr(target, f"{axis}grid").ticker = ticker
    return target


def set_ticks(
    da: xr.DataArray | None,
    target: Any,
    values: Sequence[int | float],
    labels: Sequence[str] | None = None,
    axis: Axis = "x",
) -> Any:
    """Puts ticks at these values alone, with these labels or the numbers themselves."""
    name = backend_from_object(target, return_module=False)
    backend = import_module(f"arviz_plots.backend.{name}")
    if name == "matplotlib":  # a logarithmic axis has smaller ones between
        getattr(target, f"{axis}axis").minorticks_off()
    labels = [f"{value:,g}" for value in values] if labels is None else list(labels)
    getattr(backend, f"{axis}ticks")(list(values), labels, target)
    return target


def whole_numbers(values: ArrayLike, most: int = MOST_TICKS) -> list[int]:
    """Whole numbers for the ticks of an axis that shows these values, which can only be whole."""
    shown = np.ravel(values)
    shown = shown[np.isfinite(shown)]
    if not shown.size or np.ptp(shown) == 0:
        return [round(float(value)) for value in shown[:1]]
    ticks = MaxNLocator(most, integer=True, steps=[1, 2, 5, 10]).tick_values(shown.min(), shown.max())
    return [round(tick) for tick in ticks if shown.min() <= tick <= shown.max()]


def powers_of_two(values: ArrayLike, most: int = MOST_TICKS) -> list[int]:
    """Powers of two for the ticks of an axis that shows these positive numbers: all of them, or every second, or so."""
    numbers = np.asarray(values)
    first, last = math.floor(math.log2(numbers.min())), math.ceil(math.log2(numbers.max()))
    stride = -(-(last - first + 1) // most)
    return [2**power for power in range(first, last + 1, stride)]
