"""Reads back what a `PlotCollection` shows, from each backend's own objects, as one `Panel` for all of them.

`panel(collection, "name")` gives the plot of a variable, `panel(collection, "name", time=3)` that of a facet. What is
read: labels, title, ticks that were chosen, which axes are logarithmic, whether they have one scale, `view` (where the
x and the y axis start and end), and what is drawn in the order it was drawn:

- `lines`: `(point, 2)` each, with NaN where the line has gaps; lines over the whole axis are not among them;
- `bars`: error bars, `(bar, 3)` each: x, low, high; they are drawn as one line with gaps, all its parts upright;
- `points`: `(point, 2)` each;
- `bands`: `(point, 3)` each: x, low, high;
- `images`: an `Image` each, what is seen of it.

Whatever a legend draws to show what it means is left out. Pyplot holds on to its figures: use `close_figures`.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from arviz_plots.plot_collection import PlotCollection

BACKENDS = ("none", "matplotlib", "plotly", "bokeh")


class Image(NamedTuple):
    """Rows from top to bottom, NaN where nothing is drawn; edges left, right, bottom, top; the ends of the scale.

    Images in colours have red, green, blue and opacity from 0 to 1 in each cell.
    """

    values: np.ndarray
    edges: tuple[float, float, float, float]
    limits: tuple[float, float]
    high: str


@dataclass
class Panel:
    x_label: str = ""
    y_label: str = ""
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    equal_axes: bool = False
    x_ticks: tuple[float, ...] = ()
    view: tuple[Any, Any] = (None, None)
    lines: list[np.ndarray] = field(default_factory=list)
    bars: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    bands: list[np.ndarray] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and greatest (x, y) of all that is drawn, images aside."""
        spans = [array[:, [0, column]] for array in (*self.bars, *self.bands) for column in (1, 2)]
        everything = np.concatenate([*self.lines, *self.points, *spans])
        return np.nanmin(everything, axis=0), np.nanmax(everything, axis=0)

    def add_line(self, x: Any, y: Any) -> None:
        array = _columns(x, y)
        x_low, x_high, gap = array[0::3, 0], array[1::3, 0], np.isnan(array).any(axis=1)
        in_threes = np.array_equal(gap, np.arange(len(array)) % 3 == 2)
        if len(array) and in_threes and np.array_equal(x_low, x_high):
            self.bars.append(np.column_stack([array[0::3], array[1::3, 1]]))
        elif len(array):
            self.lines.append(array)

    def add_band(self, x: Any, one: Any, other: Any) -> None:
        array = _columns(x, one, other)
        self.bands.append(np.column_stack([array[:, 0], array[:, 1:].min(axis=1), array[:, 1:].max(axis=1)]))


@pytest.fixture
def close_figures():
    """Closes Pyplot's figures after a test, which warns where there are more than twenty."""
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def panel(collection: PlotCollection, name: str | None = None, **selection: Any) -> Panel:
    """What one plot of the collection shows."""
    return panel_of(collection, collection.get_target(name, selection))


def panel_of(collection: PlotCollection, target: Any) -> Panel:
    """What is shown in a plot of the collection's backend."""
    return {"none": _none, "matplotlib": _matplotlib, "plotly": _plotly, "bokeh": _bokeh}[collection.backend](target)


def panel_names(collection: PlotCollection) -> list[str]:
    """The variables that have a plot of their own."""
    return list(collection.viz["plot"].data_vars)


def legend_names(collection: PlotCollection, dim: str = "member") -> list[str]:
    """The entries of the legend for a dimension; none without a legend. Not for `none`, which keeps no legend."""
    if "legend" not in collection.viz.children:
        return []
    match collection.backend:
        case "matplotlib":
            return [text.get_text() for text in collection.viz["legend"][dim].item().get_texts()]
        case "plotly":
            return [trace.name for trace in collection.viz["figure"].item().data if trace.showlegend]
        case "bokeh":
            return [item.label.value for item in collection.viz["legend"][dim].item().items]
    raise ValueError(collection.backend)


def figure_title(collection: PlotCollection) -> str:
    shown = collection.viz["figure_title"].item()
    match collection.backend:
        case "none":
            return shown["string"]
        case "matplotlib":
            return shown.get_text()
        case "plotly":
            return collection.viz["figure"].item().layout.title.text
        case "bokeh":
            return shown.text
    raise ValueError(collection.backend)


def _columns(*columns: Any) -> np.ndarray:
    return np.column_stack(np.broadcast_arrays(*(np.atleast_1d(np.asarray(column, float)) for column in columns)))


def _none(target: list[dict]) -> Panel:
    shown = Panel()
    for element in target:
        match element["function"]:
            case "line" | "step":
                shown.add_line(element["x"], element["y"])
            case "scatter":
                shown.points.append(_columns(element["x"], element["y"]))
            case "fill_between_y":
                shown.add_band(element["x"], element["y_bottom"], element["y_top"])
            case "image":
                edges = _around(element["x"], element["y"])
                shown.images.append(Image(element["values"], edges, element["limits"], element["high"]))
            case "colour_image":
                edges = _around(element["x"], element["y"])
                shown.images.append(Image(element["values"], edges, (0, 1), "colours"))
            case "xlabel":
                shown.x_label = element["string"]
            case "ylabel":
                shown.y_label = element["string"]
            case "title":
                shown.title = element["string"]
            case "xscale":
                shown.log_x = element["scale"] == "log"
            case "yscale":
                shown.log_y = element["scale"] == "log"
            case "xticks":
                shown.x_ticks = tuple(element["ticks"])
            case "xlim":
                shown.view = element["lims"], shown.view[1]
            case "ylim":
                shown.view = shown.view[0], element["lims"]
            case "set_equal_axes":
                shown.equal_axes = True
    return shown


def _matplotlib(target: Any) -> Panel:
    shown = Panel(target.get_xlabel(), target.get_ylabel(), target.get_title())
    shown.log_x, shown.log_y = target.get_xscale() == "log", target.get_yscale() == "log"
    shown.view = tuple(map(float, target.get_xlim())), tuple(map(float, target.get_ylim()))
    shown.equal_axes = target.get_aspect() == 1
    shown.x_ticks = tuple(target.get_xticks())
    for line in target.lines:
        if line.get_transform() == target.transData:
            shown.add_line(*line.get_data())
    for image in target.images:
        assert image.origin == "upper"
        values = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
        if values.ndim == 3:
            shown.images.append(Image(values, tuple(image.get_extent()), (0, 1), "colours"))
            continue
        high = {"gray_r": "black", "gray": "white"}[image.get_cmap().name]
        shown.images.append(Image(values, tuple(image.get_extent()), image.get_clim(), high))
    for drawn in target.collections:
        if type(drawn).__name__ == "PathCollection":
            shown.points.append(np.asarray(drawn.get_offsets()))
        elif type(drawn).__name__ == "FillBetweenPolyCollection":
            # Along one edge, and back along the other, each with a point more at its start.
            outline = drawn.get_paths()[0].vertices
            num = (len(outline) - 3) // 2
            there, back = outline[1 : num + 1], outline[num + 2 : 2 * num + 2][::-1]
            np.testing.assert_array_equal(there[:, 0], back[:, 0])
            shown.add_band(there[:, 0], there[:, 1], back[:, 1])
    return shown


def _plotly(target: Any) -> Panel:
    figure = target.figure
    axes = figure.get_subplot(target.row, target.col)
    shown = Panel(axes.xaxis.title.text or "", axes.yaxis.title.text or "")
    shown.log_x, shown.log_y = axes.xaxis.type == "log", axes.yaxis.type == "log"
    shown.view = axes.xaxis.range, axes.yaxis.range
    shown.x_ticks = tuple(axes.xaxis.tickvals or ())
    x_name = axes.xaxis.plotly_name.replace("axis", "")
    same_scale = axes.yaxis.scaleanchor == x_name and axes.yaxis.scaleratio in (None, 1)
    shown.equal_axes = same_scale and axes.xaxis.constrain == axes.yaxis.constrain == "domain"
    domain = f"{x_name} domain"
    titles = [note.text for note in figure.layout.annotations if note.xref == domain and note.text.strip()]
    shown.title = titles[-1] if titles else ""
    lower_edge = None
    for trace in figure.select_traces(row=target.row, col=target.col):
        if trace.type == "image":
            values = np.array(trace.z, float) / [255, 255, 255, 1]
            edges = _around(trace.x0 + np.arange(values.shape[1]), trace.y0 + np.arange(values.shape[0]))
            shown.images.append(Image(values, edges, (0, 1), "colours"))
            continue
        if trace.type == "heatmap":
            (_, low), (_, high) = trace.colorscale
            assert {low, high} == {"black", "white"}
            edges = _around(np.array(trace.x), np.array(trace.y))
            shown.images.append(Image(np.array(trace.z, float), edges, (trace.zmin, trace.zmax), high))
            continue
        if trace.x is None or all(value is None for value in trace.x):
            continue
        if trace.fill == "tonexty":
            shown.add_band(trace.x, lower_edge.y, trace.y)
        elif trace.mode == "markers":
            shown.points.append(_columns(trace.x, trace.y))
        elif trace.mode == "lines" and trace.line.width == 0:
            lower_edge = trace
        elif trace.mode == "lines":
            assert trace.connectgaps is None
            shown.add_line(trace.x, trace.y)
    return shown


def _bokeh(target: Any) -> Panel:
    shown = Panel(target.xaxis.axis_label or "", target.yaxis.axis_label or "", target.title.text or "")
    shown.log_x, shown.log_y = (type(scale).__name__ == "LogScale" for scale in (target.x_scale, target.y_scale))
    shown.view = tuple((axis.start, axis.end) for axis in (target.x_range, target.y_range))
    shown.x_ticks = tuple(getattr(target.xaxis[0].ticker, "ticks", ()))
    if target.frame_width is not None:
        width, height = (abs(end - start) for start, end in shown.view)
        shown.equal_axes = abs(target.frame_width / width / (target.frame_height / height) - 1) < 0.01  # whole pixels
    for renderer in target.renderers:
        glyph, data = renderer.glyph, renderer.data_source.data
        if not data:
            continue
        match type(glyph).__name__:
            case "Line" | "Step":
                shown.add_line(data[glyph.x], data[glyph.y])
            case "Scatter":
                shown.points.append(_columns(data[glyph.x], data[glyph.y]))
            case "ImageRGBA":
                values = data[glyph.image][0].view(np.uint8).reshape(*data[glyph.image][0].shape, 4) / 255
                edges = (glyph.x, glyph.x + glyph.dw, glyph.y + glyph.dh, glyph.y)
                shown.images.append(Image(values, edges, (0, 1), "colours"))
            case "Image":
                shown.images.append(_bokeh_image(glyph, data))
            case "VArea":
                shown.add_band(data[glyph.x], data[glyph.y1], data[glyph.y2])
    return shown


def _bokeh_image(glyph: Any, data: Any) -> Image:
    assert glyph.origin == glyph.anchor == "bottom_left"  # rows from y to y + dh, whichever way the axis goes
    mapper = glyph.color_mapper
    assert mapper.nan_color == "#00000000"
    ends = {"#000000": "black", "#ffffff": "white"}
    assert {ends[mapper.palette[0]], ends[mapper.palette[-1]]} == {"black", "white"}
    edges = (glyph.x, glyph.x + glyph.dw, glyph.y + glyph.dh, glyph.y)
    return Image(data[glyph.image][0], edges, (mapper.low, mapper.high), ends[mapper.palette[-1]])


def _around(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Both kinds of cells reach half way to the next, and are one apart in all that is drawn."""
    assert set(np.diff(x)) | set(np.diff(y)) <= {1}
    return x[0] - 0.5, x[-1] + 0.5, y[-1] + 0.5, y[0] - 0.5
