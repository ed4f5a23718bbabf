import functools

import jax
import numpy as np
import pytest
import xarray as xr
from arviz_base import rc_context
from arviz_plots.plot_collection import PlotCollection

import dpm_ppl as dpm
from dpm_ppl.analysis.plots.curves import plot_bound_per_step, plot_ladder, plot_rungs, plot_schedule, plot_training
from dpm_ppl.analysis.tree import bound_group, to_datatree, weights_group
from dpm_ppl.units import Units
from tests.analysis.plots.backends import BACKENDS, close_figures, figure_title, legend_names, panel, panel_names
from tests.instances import DIFFUSIONS, draw_data

pytestmark = pytest.mark.usefixtures("close_figures")
__all__ = ["close_figures"]

KEY = jax.random.key(0)
BIT = np.log(2)
every_backend = pytest.mark.parametrize("backend", BACKENDS)
UNITS = Units((2,), "continuous", np.zeros(2), np.array([2.0, 4.0]))
ROWS = [
    {"update": 0, "K": -3.0, "K_se": 0.25},
    {"update": 10, "loss": 2.5},
    {"update": 20, "loss": 2.0, "K": -2.0, "K_se": 0.5},
    {"update": 30, "loss": None, "K": -1.5, "K_se": None},
]


@functools.cache
def groups():
    """Groups of a small diffusion's results, its entropy bounds, and a second set of weights."""
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 6)
    return (
        bound_group(dpm.bound(diffusion, x_0, KEY)),
        dpm.entropy_bounds(diffusion, x_0, KEY),
        weights_group(dpm.log_likelihood(diffusion, x_0, KEY, 8)),
        weights_group(dpm.log_likelihood(diffusion, x_0, KEY, 32)),
    )


def mean_and_se(values):
    figure = dpm.estimate(values)
    return np.asarray(figure.mean), np.asarray(figure.se)


def assert_drawn(got, *columns):
    np.testing.assert_allclose(got, np.column_stack(columns), rtol=1e-12, atol=1e-12)


@every_backend
@pytest.mark.parametrize("unit", ["bits", "nats"])
def test_bound_per_step_shows_mean_and_standard_error_over_data(backend, unit):
    group, *_ = groups()
    divergences = group["step_divergences"].values.astype(float) / {"bits": BIT, "nats": 1.0}[unit]
    t = np.arange(2, 9)
    mean, se = mean_and_se(divergences)
    collection = plot_bound_per_step(group, unit=unit, log_y=True, backend=backend, title="where they go")
    assert panel_names(collection) == ["divergence", "share"]
    assert figure_title(collection) == "where they go"
    shown = panel(collection, "divergence")
    assert (shown.x_label, shown.y_label) == ("step t", f"E KL of step t ({unit})")
    assert (shown.log_x, shown.log_y) == (False, True)
    assert_drawn(*shown.lines, t, mean)
    assert_drawn(*shown.bands, t, mean - se, mean + se)
    np.testing.assert_allclose(shown.limits, [[2, (mean - se).min()], [8, (mean + se).max()]])
    share = panel(collection, "share")
    assert share.y_label == "share of the steps 2 to t"
    assert_drawn(*share.lines, t, mean.cumsum() / mean.sum())


def test_share_has_the_error_of_a_jackknife():
    """The delta method against leaving out each datum, for many data that all cost alike on average."""
    costs = np.random.default_rng(0).gamma(4.0, size=(4000, 3))
    group = groups()[0].isel(datum=0, step=[0, 1, 2], drop=True).drop_vars("step_divergences")
    group = group.assign(step_divergences=(("datum", "step"), costs))
    ((_, low, high),) = (band.T for band in panel(plot_bound_per_step(group, backend="none"), "share").bands)
    rest = costs.sum(axis=0) - costs
    left_out = rest.cumsum(axis=1) / rest.sum(axis=1, keepdims=True)
    jackknife = np.sqrt((len(costs) - 1) * left_out.var(axis=0))
    np.testing.assert_allclose((high - low) / 2, jackknife, rtol=1e-2, atol=1e-12)


@every_backend
def test_entropy_lies_between_its_bounds(backend):
    group, entropy, *_ = groups()
    collection = plot_bound_per_step(group, entropy, backend=backend)
    shown = panel(collection, "entropy")
    assert shown.y_label == "H_q(Xᵗ⁻¹ | Xᵗ) (bits)"
    lower, upper = np.asarray(entropy.lower, float) / BIT, np.asarray(entropy.upper, float) / BIT
    t = np.arange(2, 9)  # at t = 1 the lower bound is -inf
    assert_drawn(shown.lines[0], t, lower[1:])
    assert_drawn(shown.lines[1], [1, *t], upper)
    assert_drawn(*shown.bands, t, lower[1:], upper[1:])
    if backend != "none":
        assert legend_names(collection) == ["KL of a step", "lower bound", "upper bound"]


@every_backend
def test_schedule_is_that_of_the_steps(backend):
    several = {"erasure": DIFFUSIONS["gaussian"](), "cosine": DIFFUSIONS["gaussian, noise prediction, learned edge"]()}
    collection = plot_schedule(several, backend=backend)
    labels = {"beta": "βₜ", "alpha_bar": "ᾱₜ", "log_snr": "log-SNR (nats)"}
    assert panel_names(collection) == list(labels)
    for name, label in labels.items():
        shown = panel(collection, name)
        assert (shown.x_label, shown.y_label) == ("step t", label)
        assert (shown.log_x, shown.log_y) == (False, name == "beta")
        assert len(shown.lines) == len(several)
        for line, diffusion in zip(shown.lines, several.values(), strict=True):
            values = np.asarray(getattr(diffusion.steps, name), float)
            kept = np.isfinite(values)  # erasure leaves no signal at T
            assert_drawn(line, np.arange(1, diffusion.num_steps + 1)[kept], values[kept])
    if backend != "none":
        assert legend_names(collection) == list(several)


def test_one_schedule_needs_no_legend():
    collection = plot_schedule(DIFFUSIONS["gaussian"](), backend="none")
    assert "legend" not in collection.viz.children
    assert len(panel(collection, "beta").lines) == 1


@every_backend
def test_ladder_shows_every_method_and_the_exact_value(backend):
    *_, short, long = groups()
    exact = dpm.Estimate(-2.0, 0.125, 100)
    collection = plot_ladder({"short": short, "long": long}, exact=exact, backend=backend)
    shown = panel(collection, "bound")
    assert shown.log_x
    assert not shown.log_y
    assert shown.x_label == "particles (densities of standardised data)"
    assert shown.y_label == "mean bound (bits/point)"
    for i, group in enumerate((short, long)):
        mean, se = mean_and_se(group["ladder"].values / BIT)
        rungs = group["num_particles"].values
        for drawn in (shown.lines, shown.points):
            assert_drawn(drawn[i], rungs, mean)
        assert_drawn(shown.bars[i], rungs, mean - se, mean + se)
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
    assert shown.x_label == "particles (densities of the data as given)"
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
def test_rungs_show_figures_as_they_are(backend):
    """And what is not finite has no place."""
    rungs = {"a": {1: dpm.Estimate(-np.inf, np.nan, 9), 4: dpm.Estimate(-2.0, 0.5, 9), 8: dpm.Estimate(-1.0, 0.25, 9)}}
    shown = panel(plot_rungs(rungs, exact=dpm.Estimate(0.5, 0.125, 9), unit="bits/dim", backend=backend), "bound")
    assert (shown.x_label, shown.y_label, shown.log_x) == ("particles", "mean bound (bits/dim)", True)
    assert_drawn(shown.lines[0], [4, 8], [-2, -1])
    assert_drawn(*shown.bars, [4, 8], [-2.5, -1.25], [-1.5, -0.75])
    assert_drawn(shown.lines[1], [1, 8], [0.5, 0.5])
    assert_drawn(*shown.bands, [1, 8], [0.375] * 2, [0.625] * 2)


@every_backend
def test_training_shows_what_rows_have(backend):
    collection = plot_training(ROWS, unit="bits/dim", backend=backend)
    loss, bound = panel(collection, "loss"), panel(collection, "K")
    assert (loss.x_label, loss.y_label) == ("updates", "training loss (bits/dim)")
    assert (bound.x_label, bound.y_label) == ("updates", "held-out K (bits/dim)")
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
    bound, entropy, short, _ = groups()
    tree = to_datatree(bound=bound, weights=short)
    figure = {"figsize": (300, 200), "figsize_units": "dots"}
    collection = plot_ladder(tree, backend="none", figure_kwargs=figure)
    assert collection.viz["figure"].item()["figsize"] == (300, 200)
    assert len(panel(plot_bound_per_step(tree, entropy, backend="none"), "entropy").lines) == 2


@every_backend
def test_the_backend_is_arviz_default_where_none_is_named(backend):
    with rc_context({"plot.backend": backend}):
        assert plot_training(ROWS, unit="nats").backend == backend


def test_a_model_that_has_learned_nothing_has_no_shares():
    group = groups()[0]
    collection = plot_bound_per_step(group.assign(step_divergences=0 * group["step_divergences"]), backend="none")
    assert_drawn(panel(collection, "divergence").lines[0], np.arange(2, 9), np.zeros(7))
    assert panel(collection, "share").lines == []


@pytest.mark.parametrize("backend", ["matplotlib", "plotly", "bokeh"])
def test_saves_without_a_warning(backend, tmp_path):
    bound, entropy, *_ = groups()
    path = tmp_path / ("figure.png" if backend == "matplotlib" else "figure.html")
    plot_bound_per_step(bound, entropy, log_x=True, backend=backend).savefig(path)
    plot_schedule(DIFFUSIONS["gaussian"](), backend=backend).savefig(path)
    assert path.stat().st_size > 1000


def bad_calls():
    bound, entropy, short, _ = groups()
    gone = short.assign(ladder=short["ladder"] * np.nan)
    return {
        "bound": lambda: plot_bound_per_step(short),
        "entropy": lambda: plot_bound_per_step(bound.isel(step=slice(3)), entropy),
        "unit": lambda: plot_bound_per_step(bound, unit="bits/point"),
        "diffusions": lambda: plot_schedule({}),
        "weights, another group": lambda: plot_ladder(bound),
        "weights, none": lambda: plot_ladder({}),
        "rungs, none": lambda: plot_rungs({"a": {}}, unit="bits"),
        "weights, two exact": lambda: plot_ladder({"exact": short}, exact=dpm.Estimate(0.0, 0.0, 1)),
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
