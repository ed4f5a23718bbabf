import functools

import jax
import numpy as np
import pytest

import dpm_ppl as dpm
from dpm_ppl.analysis.plots.weights import STYLES, plot_exact_against_estimated, plot_khat_per_datum, plot_weights
from dpm_ppl.analysis.tree.tree import weights_group
from dpm_ppl.data.units import Units
from tests.analysis.plots.backends import BACKENDS, close_figures, legend_names, panel
from tests.instances import DIFFUSIONS, draw_data

pytestmark = pytest.mark.usefixtures("close_figures")
__all__ = ["close_figures"]

BIT = np.log(2)
every_backend = pytest.mark.parametrize("backend", BACKENDS)


@functools.cache
def weights():
    """Six data with the log-weights of 48 draws each."""
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 6)
    return weights_group(dpm.log_likelihood(diffusion, x_0, jax.random.key(0), 48, keep_log_weights=True))


def assert_drawn(got, *columns):
    np.testing.assert_allclose(got, np.column_stack(columns), rtol=1e-10, atol=1e-10)


def relative(log_weights):
    return log_weights - np.log(np.exp(log_weights).mean())


@every_backend
@pytest.mark.parametrize("unit", ["bits", "nats"])
def test_ecdf_of_log_weights(backend, unit):
    group = weights()
    collection = plot_weights(group, data=[4, 1], unit=unit, backend=backend)
    shown = panel(collection, "log_weights")
    assert shown.x_label == f"log-weight, less the log of the mean weight ({unit})"
    assert shown.y_label == "share of the draws"
    for line, datum in zip(shown.lines, (4, 1), strict=True):
        values = relative(group["log_weights"].values[datum].astype(float)) / {"bits": BIT, "nats": 1.0}[unit]
        assert_drawn(line, np.sort(values), np.arange(1, 49) / 48)
    if backend != "none":
        assert legend_names(collection) == [f"datum {i}, k-hat {group['khat'].values[i]:.2f}" for i in (4, 1)]


@every_backend
def test_histogram_of_log_weights(backend):
    group = weights()
    shown = panel(plot_weights(group, kind="histogram", num_bins=7, backend=backend), "log_weights")
    assert shown.y_label == "draws"
    assert len(shown.lines) == 4
    for datum, line in enumerate(shown.lines):
        values = relative(group["log_weights"].values[datum].astype(float)) / BIT
        edges = line[1:, 0]
        # The outermost values are edges, and must not fall out by rounding.
        counts, _ = np.histogram(values, edges + 1e-9 * np.linspace(-1, 1, 8))
        np.testing.assert_array_equal(line[1:-1, 1], counts)
        assert line[[0, -1], 1].tolist() == [0, 0]
        assert line[0, 0] == edges[0]
        assert len(edges) == 8


def test_weights_of_zero_are_the_foot_of_the_ecdf():
    group = weights()
    log_weights = group["log_weights"].copy()
    log_weights[0, :12] = -np.inf
    (line,) = panel(plot_weights(group.assign(log_weights=log_weights), data=[0], backend="none"), "log_weights").lines
    assert len(line) == 36
    np.testing.assert_allclose(line[[0, -1], 1], [13 / 48, 1])


@every_backend
def test_khat_is_coloured_by_verdict_between_the_thresholds(backend):
    verdict = np.array(["reliable", "unusable", "reliable", "doubtful", "reliable", "reliable"])
    khat = np.array([0.1, 1.3, -np.inf, 0.8, np.nan, 0.5])
    group = weights().assign(khat=("datum", khat), verdict=("datum", verdict)).assign_coords(datum=10 * np.arange(6))
    collection = plot_khat_per_datum(group, backend=backend)
    shown = panel(collection, "khat")
    assert (shown.x_label, shown.y_label) == ("datum (2 without k-hat)", "Pareto k-hat of the weights")
    reliable, doubtful, unusable = shown.points
    assert_drawn(reliable, [0, 50], [0.1, 0.5])
    assert_drawn(doubtful, [30], [0.8])
    assert_drawn(unusable, [10], [1.3])
    assert_drawn(shown.lines[0], 10 * np.arange(6), np.full(6, 1 - 1 / np.log10(48)))  # 48 draws allow less than 0.7
    assert_drawn(shown.lines[1], 10 * np.arange(6), np.ones(6))
    assert set(shown.x_ticks) <= set(range(51))
    assert len(shown.lines) == 2
    if backend != "none":
        assert legend_names(collection) == ["reliable", "doubtful", "unusable"]  # no other is drawn


@every_backend
def test_colours_of_verdicts_do_not_depend_on_the_data(backend):
    group = weights().assign(khat=("datum", np.full(6, 0.8)), verdict=("datum", ["doubtful"] * 6))
    collection = plot_khat_per_datum(group, backend=backend)
    assert len(panel(collection, "khat").points) == 1
    assert panel(collection, "khat").x_label == "datum"
    for aesthetic, value in STYLES["doubtful"].items():
        assert collection.get_aes_as_dataset(aesthetic)["mapping"].sel(member="doubtful").item() == value
    if backend != "none":
        assert legend_names(collection) == ["doubtful"]


@every_backend
def test_exact_against_estimated(backend):
    group = weights()
    estimated, se = (group[name].values.astype(float) for name in ("log_likelihood", "se"))
    above = np.array([False, True, False, False, True, False])
    exact = estimated - np.where(above, 3.01, 2.99) * se
    collection = plot_exact_against_estimated(group, exact, backend=backend)
    shown = panel(collection, "log_likelihood")
    assert shown.x_label == "exact log-likelihood of standardised data (bits/point)"
    assert shown.y_label == "estimate (bits/point)"
    for points, bars, of in zip(shown.points, shown.bars, (~above, above), strict=True):
        x, y, error = exact[of] / BIT, estimated[of] / BIT, se[of] / BIT
        assert_drawn(points, x, y)
        assert_drawn(bars, x, y - error, y + error)
    ends = np.array([min(exact.min(), estimated.min()), max(exact.max(), estimated.max())]) / BIT
    assert_drawn(*shown.lines, ends, ends)
    if backend != "none":
        assert legend_names(collection) == ["estimate", "more than 3 standard errors above"]


def test_exact_against_estimated_in_the_units_of_the_data():
    group = weights().isel(datum=[0, 1])
    units = Units((2,), "continuous", np.zeros(2), np.array([2.0, 4.0]))
    collection = plot_exact_against_estimated(
        group, [-1.0, np.nan], units=units, unit="nats/coordinate", backend="none"
    )
    shown = panel(collection, "log_likelihood")
    value = group["log_likelihood"].values[0]
    assert_drawn(*shown.points, [(-1 - np.log(8)) / 2], [(value - np.log(8)) / 2])
    assert shown.x_label == "exact log-likelihood of the data as given (nats/coordinate)"


def test_data_without_a_standard_error_have_a_point_and_no_bar():
    group = weights().isel(datum=[0, 1])
    group = group.assign(se=group["se"].where(group["datum"] != 0))
    shown = panel(plot_exact_against_estimated(group, [-9.0, -1.0], backend="none"), "log_likelihood")
    assert [len(points) for points in shown.points] == [2]
    assert [len(bars) for bars in shown.bars] == [1]


def test_many_data_cost_one_artist():
    """Error bars of each datum by itself would take Plotly seconds."""
    group = weights().isel(datum=np.arange(3000) % 6).assign_coords(datum=np.arange(3000))
    collection = plot_exact_against_estimated(group, group["log_likelihood"].values, backend="plotly")
    assert len(panel(collection, "log_likelihood").bars[0]) == 3000
    assert len(collection.viz["figure"].item().data) < 10


@pytest.mark.parametrize("backend", ["matplotlib", "plotly", "bokeh"])
def test_saves_without_a_warning(backend, tmp_path):
    path = tmp_path / ("figure.png" if backend == "matplotlib" else "figure.html")
    plot_weights(weights(), backend=backend, title="weights").savefig(path)
    assert path.stat().st_size > 1000


def bad_calls():
    group = weights()
    return {
        "weights, not kept": lambda: plot_weights(group.drop_vars("log_weights")),
        "weights, no k-hat": lambda: plot_khat_per_datum(group.drop_vars("khat")),
        "weights, no estimates": lambda: plot_exact_against_estimated(group.drop_vars("se"), np.zeros(6)),
        "log_weights": lambda: plot_weights(group.assign(log_weights=group["log_weights"] - np.inf)),
        "data": lambda: plot_weights(group, data=[0, 6]),
        "data, none": lambda: plot_weights(group, data=[]),
        "kind": lambda: plot_weights(group, kind="violin"),
        "unit": lambda: plot_weights(group, unit="bits/point"),
        "exact": lambda: plot_exact_against_estimated(group, np.zeros(5)),
        "exact, infinite": lambda: plot_exact_against_estimated(group, np.full(6, -np.inf)),
    }


@pytest.mark.parametrize("name", bad_calls())
@pytest.mark.usefixtures("unchecked")
def test_refuses(name):
    with pytest.raises(dpm.InputError) as caught:
        bad_calls()[name]()
    assert caught.value.argument == name.partition(",")[0]
