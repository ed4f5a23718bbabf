import numpy as np
import pytest
import xarray as xr
from arviz_base import rc_context
from arviz_plots.plot_collection import PlotCollection

import dpm_ppl as dpm
from dpm_ppl.analysis.plots.curves import plot_ladder, plot_ladder_values, plot_training
from dpm_ppl.analysis.tree.tree import to_datatree
from dpm_ppl.data.units import Units
from dpm_ppl.estimates import Estimate
from tests.analysis.plots.backends import BACKENDS, close_figures, legend_names, panel, panel_names
from tests.analysis.plots.results import BIT, assert_drawn, groups, mean_and_se

pytestmark = pytest.mark.usefixtures("close_figures")
__all__ = ["close_figures"]

every_backend = pytest.mark.parametrize("backend", BACKENDS)
UNITS = Units((2,), "continuous", np.zeros(2), np.array([2.0, 4.0]))
ROWS = [
    {"update": 0, "K": -3.0, "K_se": 0.25},
    {"update": 10, "loss": 2.5},
    {"update": 20, "loss": 2.0, "K": -2.0, "K_se": 0.5},
    {"update": 30, "loss": None, "K": -1.5, "K_se": None},
]


@every_backend
def test_ladder_shows_every_method_and_the_exact_value(backend):
    *_, short, long = groups()
    exact = Estimate(-2.0, 0.125, 100)
    collection = plot_ladder({"short": short, "long": long}, exact=exact, backend=backend)
    shown = panel(collection, "bound")
    assert shown.log_x
    assert not shown.log_y
    assert shown.x_label == "particles S behind one estimate (densities of standardised data)"
    assert shown.y_label == "mean bound (bits/point)"
    for i, group in enumerate((short, long)):
        mean, se = mean_and_se(group["ladder"].values / BIT)
        sizes = group["num_particles"].values
        for drawn in (shown.lines, shown.points):
            assert_drawn(drawn[i], sizes, mean)
        assert_drawn(shown.bars[i], sizes, mean - se, mean + se)
    assert_drawn(shown.lines[2], [1, 32], [-2 / BIT, -2 / BIT])
    assert_drawn(*shown.bands, [1, 32], [-2.125 / BIT] * 2, [-1.875 / BIT] * 2)
    assert len(shown.lines) == 3
    assert len(shown.points) == len(shown.bars) == 2
    np.testing.assert_allclose(np.transpose(shown.limits)[0], [1, 32])
    if backend != "none":
        assert legend_names(collection) == ["short", "long", "exact"]


def test_ladder_in_the_units_of_the_data():
    *_, group = groups()
    shown = panel(plot_ladder(group, units=UNITS, unit="bits/coordinate", backend="none"), "bound")
    mean, se = mean_and_se((group["ladder"].values - np.log(8)) / (2 * BIT))
    assert_drawn(*shown.bars, group["num_particles"].values, mean - se, mean + se)
    assert shown.x_label == "particles S behind one estimate (densities of the data as given)"
    assert shown.y_label == "mean bound (bits/coordinate)"


def test_ladder_of_one_datum_has_its_monte_carlo_error():
    *_, group = groups()
    one = group.isel(datum=[2])
    values, se = one["ladder"].values[0] / BIT, one["ladder_se"].values[0] / BIT
    known = np.isfinite(se)
    assert 0 < known.sum() < len(se)
    shown = panel(plot_ladder(one, backend="none"), "bound")
    assert_drawn(*shown.bars, group["num_particles"].values[known], (values - se)[known], (values + se)[known])


def test_ladder_leaves_out_data_without_draws():
    *_, group = groups()
    some = group.assign(ladder=group["ladder"].where(group["datum"] != 1))
    mean, _ = mean_and_se(np.delete(group["ladder"].values, 1, axis=0) / BIT)
    assert_drawn(panel(plot_ladder(some, backend="none"), "bound").lines[0], group["num_particles"].values, mean)


@every_backend
def test_ladder_values_show_figures_as_they_are(backend):
    """And what is not finite has no place."""
    ladders = {
        "a": {
            1: Estimate(-np.inf, np.nan, 9),
            4: Estimate(-2.0, 0.5, 9),
            8: Estimate(-1.0, 0.25, 9),
        }
    }
    shown = panel(
        plot_ladder_values(ladders, exact=Estimate(0.5, 0.125, 9), unit="bits/dim", backend=backend),
        "bound",
    )
    assert (shown.x_label, shown.y_label, shown.log_x) == (
        "particles S behind one estimate",
        "mean bound (bits/dim)",
        True,
    )
    assert list(shown.x_ticks) == [1, 2, 4, 8]
    assert_drawn(shown.lines[0], [4, 8], [-2, -1])
    assert_drawn(*shown.bars, [4, 8], [-2.5, -1.25], [-1.5, -0.75])
    assert_drawn(shown.lines[1], [1, 8], [0.5, 0.5])
    assert_drawn(*shown.bands, [1, 8], [0.375] * 2, [0.625] * 2)


@every_backend
def test_training_shows_what_rows_have(backend):
    collection = plot_training(ROWS, unit="bits/dim", backend=backend)
    loss, bound = panel(collection, "loss"), panel(collection, "K")
    assert (loss.x_label, loss.y_label) == ("updates", "training loss (bits/dim)")
    assert (bound.x_label, bound.y_label) == ("updates", "bound K (bits/dim)")
    for drawn in (loss.lines, loss.points):
        assert_drawn(*drawn, [10, 20], [2.5, 2.0])
    assert loss.bars == []
    for drawn in (bound.lines, bound.points):
        assert_drawn(*drawn, [0, 20, 30], [-3, -2, -1.5])
    assert_drawn(*bound.bars, [0, 20], [-3.25, -2.5], [-2.75, -1.5])
    np.testing.assert_array_equal(bound.limits, [[0, -3.25], [30, -1.5]])
    assert panel_names(plot_training([{"update": 1, "K": 0.5}], unit="nats", backend=backend)) == ["K"]


@every_backend
def test_draws_into_a_collection(backend):
    """A second call adds to the same panel, in the next colour, and leaves the legend to the caller."""
    *_, short, long = groups()
    first = plot_ladder({"short": short, "exact-ish": short}, backend=backend)
    again = plot_ladder({"long": long}, plot_collection=first)
    assert again is first
    assert len(panel(first, "bound").lines) == 3
    colours = first.get_aes_as_dataset("color")["mapping"]
    assert dict(zip(colours["member"].values, colours.values, strict=True)) == {
        "short": "C0",
        "exact-ish": "C1",
        "long": "C2",
    }
    if backend != "none":
        assert legend_names(first) == ["short", "exact-ish"]


def test_draws_into_the_users_own_collection():
    *_, short, _ = groups()
    own = PlotCollection.wrap(xr.Dataset({"mine": 0}), backend="none")
    plot_ladder(short, plot_collection=own)
    assert len(panel(own).lines) == 1


def test_takes_a_whole_tree_and_the_users_figure():
    bound, _, short, _ = groups()
    tree = to_datatree(bound=bound, weights=short)
    figure = {"figsize": (300, 200), "figsize_units": "dots"}
    collection = plot_ladder(tree, backend="none", figure_kwargs=figure)
    assert collection.viz["figure"].item()["figsize"] == (300, 200)


@every_backend
def test_the_backend_is_arviz_default_where_none_is_named(backend):
    with rc_context({"plot.backend": backend}):
        assert plot_training(ROWS, unit="nats").backend == backend


@pytest.mark.parametrize("backend", ["matplotlib", "plotly", "bokeh"])
def test_saves_without_a_warning(backend, tmp_path):
    *_, short, long = groups()
    path = tmp_path / ("figure.png" if backend == "matplotlib" else "figure.html")
    plot_ladder({"short": short, "long": long}, backend=backend).savefig(path)
    plot_training(ROWS, unit="bits/dim", backend=backend).savefig(path)
    assert path.stat().st_size > 1000


def bad_calls():
    bound, _, short, _ = groups()
    gone = short.assign(ladder=short["ladder"] * np.nan)
    return {
        "weights, another group": lambda: plot_ladder(bound),
        "weights, none": lambda: plot_ladder({}),
        "ladders, none": lambda: plot_ladder_values({"a": {}}, unit="bits"),
        "weights, two exact": lambda: plot_ladder({"exact": short}, exact=Estimate(0.0, 0.0, 1)),
        "weights, without draws": lambda: plot_ladder(gone),
        "unit, without units": lambda: plot_ladder(short, unit="bits/coordinate"),
        "unit, unknown": lambda: plot_ladder(short, units=UNITS, unit="hartleys/point"),
        "backend": lambda: plot_ladder(short, backend="gnuplot"),
        "backend, not the collection's": lambda: plot_ladder(
            short, backend="plotly", plot_collection=plot_ladder(short, backend="none")
        ),
        "plot_collection": lambda: plot_training(ROWS, unit="nats", plot_collection=plot_ladder(short, backend="none")),
        "rows, update": lambda: plot_training([{"loss": 1.0}], unit="nats"),
        "rows, nothing": lambda: plot_training([{"update": 1}], unit="nats"),
    }


@pytest.mark.parametrize("name", bad_calls())
def test_refuses(name):
    with pytest.raises(dpm.InputError) as caught:
        bad_calls()[name]()
    assert caught.value.argument == name.partition(",")[0]
