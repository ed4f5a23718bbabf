import numpy as np
import pytest

import dpm_ppl as dpm
from dpm_ppl.analysis.plots.chain import plot_bound_per_step, plot_entropy_bounds, plot_schedule
from tests.analysis.plots.backends import BACKENDS, close_figures, figure_title, legend_names, panel, panel_names
from tests.analysis.plots.results import BIT, assert_drawn, groups, mean_and_se
from tests.instances import DIFFUSIONS

pytestmark = pytest.mark.usefixtures("close_figures")
__all__ = ["close_figures"]

every_backend = pytest.mark.parametrize("backend", BACKENDS)


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
    assert (shown.x_label, shown.y_label) == ("step t", f"cost of step t in K ({unit})")
    assert (shown.log_x, shown.log_y) == (False, True)
    assert_drawn(*shown.lines, t, mean)
    assert_drawn(*shown.bands, t, mean - se, mean + se)
    np.testing.assert_allclose(shown.limits, [[2, (mean - se).min()], [8, (mean + se).max()]])
    share = panel(collection, "share")
    assert share.y_label == "share of steps 2 to t in all cost"
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
    _, entropy, *_ = groups()
    collection = plot_entropy_bounds(entropy, backend=backend)
    shown = panel(collection, "entropy")
    assert shown.y_label == "entropy of step t given the next (bits)"
    lower, upper = np.asarray(entropy.lower, float) / BIT, np.asarray(entropy.upper, float) / BIT
    t = np.arange(2, 9)  # at t = 1 the lower bound is -inf
    assert_drawn(shown.lines[0], [1, *t], upper)
    assert_drawn(shown.lines[1], t, lower[1:])
    assert_drawn(*shown.bands, t, lower[1:], upper[1:])
    if backend != "none":
        assert legend_names(collection) == ["upper bound", "lower bound"]


@every_backend
def test_schedule_is_that_of_the_steps(backend):
    several = {"erasure": DIFFUSIONS["gaussian"](), "cosine": DIFFUSIONS["gaussian, noise prediction, learned edge"]()}
    collection = plot_schedule(several, backend=backend)
    labels = {
        "beta": "noise rate of step t, βₜ",
        "alpha_bar": "share of signal left, ᾱₜ",
        "log_snr": "log signal-to-noise ratio (nats)",
    }
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


def test_a_model_that_has_learned_nothing_has_no_shares():
    group = groups()[0]
    collection = plot_bound_per_step(group.assign(step_divergences=0 * group["step_divergences"]), backend="none")
    assert_drawn(panel(collection, "divergence").lines[0], np.arange(2, 9), np.zeros(7))
    assert panel(collection, "share").lines == []


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("bound", lambda: plot_bound_per_step(groups()[2])),
        ("unit", lambda: plot_bound_per_step(groups()[0], unit="bits/point")),
        ("unit", lambda: plot_entropy_bounds(groups()[1], unit="bits/point")),
        ("diffusions", lambda: plot_schedule({})),
    ],
)
def test_refuses(argument, call):
    with pytest.raises(dpm.InputError) as caught:
        call()
    assert caught.value.argument == argument


@pytest.mark.parametrize("backend", ["matplotlib", "plotly", "bokeh"])
def test_saves_without_a_warning(backend, tmp_path):
    bound, entropy, *_ = groups()
    path = tmp_path / ("figure.png" if backend == "matplotlib" else "figure.html")
    plot_bound_per_step(bound, log_x=True, log_y=True, backend=backend).savefig(path)
    plot_entropy_bounds(entropy, log_x=True, backend=backend).savefig(path)
    plot_schedule(DIFFUSIONS["gaussian"](), backend=backend).savefig(path)
    assert path.stat().st_size > 1000
