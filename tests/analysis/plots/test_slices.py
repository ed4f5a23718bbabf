import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots.slices import plot_figure_one, plot_slices
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, noise_prediction
from dpm_ppl.networks import RBFNetwork
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.schedules import Erasure, Fixed
from tests.analysis.plots.backends import BACKENDS, close_figures, figure_title, panel  # noqa: F401
from tests.instances import small

pytestmark = pytest.mark.usefixtures("close_figures")
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
FORWARD, REVERSE = RNG.normal(size=(3, 50, 2)), 2 * RNG.normal(size=(3, 40, 2))
GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-2, 2, 5)), axis=-1).reshape(-1, 2)
DRIFT = RNG.normal(size=(3, 20, 2)) * np.array([1e-6, 1e-2, 1.0])[:, None, None]
TIMES = (0, 20, 40)
ROWS = ("forward", "reverse", "drift")
ANGLES = np.linspace(5.0, 14.0, 30)
SWISS_ROLL = np.stack([ANGLES * np.cos(ANGLES), ANGLES * np.sin(ANGLES)], axis=-1) / 7


class NullNetwork(AbstractNetwork):
    """Zero outputs: the reverse chain is the forward kernel."""

    def __call__(self, x_t, step):
        return jnp.zeros((*x_t.shape, 2))


BETAS = np.array([1e-8, 2e-8, 0.1, 0.5, 0.9])
PLANE = Diffusion(GaussianKernel(noise_prediction), Fixed(BETAS), NullNetwork(), (2,))
SEQUENCES = small(BernoulliKernel(0.2), Erasure(6), (20,), network="sigmoid")


def arrows(collection, t):
    """Where arrows start, and how far they reach; their heads lie on them, alike on both sides."""
    (line,) = panel(collection, "drift", time=t).lines
    tails, tips, one, again, other, gaps = line.reshape(-1, 6, 2).swapaxes(0, 1)
    assert np.isnan(gaps).all()
    np.testing.assert_array_equal(again, tips)
    steps = tips - tails
    np.testing.assert_allclose((one + other) / 2, tips - 0.3 * steps, atol=1e-12)
    np.testing.assert_allclose(np.sum((one - other) * steps, axis=-1), 0, atol=1e-12)
    return tails, steps


def title(collection, row, t):
    return panel(collection, row, time=t).title


def factor(collection, t):
    return float(title(collection, "drift", t).split()[-1].replace(",", ""))


@pytest.mark.parametrize("backend", BACKENDS)
def test_slices_show_the_points_they_are_given(backend):
    collection = plot_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES, title="roll", backend=backend)
    for row, expected in (("forward", FORWARD), ("reverse", REVERSE)):
        for t, points in zip(TIMES, expected, strict=True):
            (drawn,) = panel(collection, row, time=t).points
            np.testing.assert_array_equal(drawn, points)
    assert figure_title(collection) == "roll"
    assert [title(collection, "forward", t) for t in TIMES] == ["q(x₀)", "q(x₂₀)", "q(x₄₀)"]
    assert [title(collection, "reverse", t) for t in TIMES] == ["p(x₀)", "p(x₂₀)", "p(x₄₀)"]
    assert [title(collection, "drift", t).split(",")[0] for t in TIMES] == ["t = 1", "t = 20", "t = 40"]
    labels = [panel(collection, row, time=0).y_label for row in ROWS]
    assert labels == ["forward chain, 50 draws", "reverse chain, 40 draws", "reverse drift, 20 arrows"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_panels_have_the_same_limits_and_hold_every_point(backend):
    collection = plot_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES, backend=backend)
    shown = [panel(collection, row, time=t) for row in ROWS for t in TIMES]
    (limits,) = {each.view for each in shown}
    for (low, high), coordinate in zip(limits, (0, 1), strict=True):
        everything = np.concatenate([values[..., coordinate].ravel() for values in (FORWARD, REVERSE, GRID)])
        assert low < everything.min()
        assert everything.max() < high
    assert np.ptp(limits[0]) == pytest.approx(np.ptp(limits[1]))
    assert all(each.equal_axes for each in shown)


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrows_are_the_drift_times_the_factor_in_the_title(backend):
    collection = plot_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES, backend=backend)
    for t, drift in zip(TIMES, DRIFT, strict=True):
        tails, steps = arrows(collection, t)
        np.testing.assert_array_equal(tails, GRID)
        np.testing.assert_allclose(steps, factor(collection, t) * drift, atol=1e-12)
        lengths = np.linalg.norm(steps, axis=-1) / np.sqrt(2 * 4 / 20)  # in spacings of the grid
        assert 0.5 < np.quantile(lengths, 0.95) <= 1.5
        assert f"{factor(collection, t):.0e}"[0] in "125"


@pytest.mark.parametrize("points", [GRID, np.stack([GRID, GRID + 1, GRID - 1])])
def test_points_of_the_drift_may_differ_between_times(points):
    collection = plot_slices(
        FORWARD, REVERSE, points, DRIFT, times=TIMES, drift_times=(2, 20, 39), backend="matplotlib"
    )
    for t, expected in zip(TIMES, np.broadcast_to(points, DRIFT.shape), strict=True):
        np.testing.assert_array_equal(arrows(collection, t)[0], expected)
    assert [title(collection, "drift", t).split(",")[0] for t in TIMES] == ["t = 2", "t = 20", "t = 39"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_moves_and_nothing_spreads(backend):
    nothing = np.zeros((1, 1, 2))
    collection = plot_slices(nothing, nothing, nothing[0], nothing, times=[0], backend=backend)
    assert factor(collection, 0) == 1
    np.testing.assert_array_equal(arrows(collection, 0), np.zeros((2, 1, 2)))


def test_the_picture_is_drawn_without_a_warning():
    """A missing glyph, for one, is an error under test."""
    collection = plot_slices(FORWARD, REVERSE, GRID, DRIFT, times=(0, 1234, 56789), backend="matplotlib")
    collection.viz["figure"].item().savefig(io.BytesIO(), format="png", dpi=30)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("edge", "first"), [("fixed", 2), ("learned", 1)])
def test_figure_one_draws_both_chains_and_the_exact_drift(backend, edge, first):
    diffusion = Diffusion(PLANE.kernel, PLANE.schedule, PLANE.network, (2,), edge)
    collection = plot_figure_one(diffusion, SWISS_ROLL, KEY, num_points=25, grid_size=4, backend=backend)
    times = (0, 2, 5)
    draws = {(row, t): panel(collection, row, time=t).points[0] for row in ROWS[:2] for t in times}
    assert {len(points) for points in draws.values()} == {25}
    data = {tuple(point) for point in SWISS_ROLL.astype(np.float32).tolist()}
    assert {tuple(point) for point in draws["forward", 0].tolist()} < data
    np.testing.assert_allclose(draws["forward", 2], draws["forward", 0], atol=1e-3)  # as good as no noise at t = 2
    # Betas below float32's resolution: the drift would be rounding noise if it were formed in float32.
    for t, drift_time in zip(times, (first, 2, 5), strict=True):
        tails, steps = arrows(collection, t)
        assert len(tails) == 16
        drift = np.expm1(0.5 * np.log1p(-BETAS[drift_time - 1])) * tails
        np.testing.assert_allclose(steps / factor(collection, t), drift, rtol=1e-5, atol=1e-15)
        assert title(collection, "drift", t).startswith(f"t = {drift_time},")


def test_figure_one_of_the_shortest_chain():
    diffusion = Diffusion(GaussianKernel(), Erasure(2), RBFNetwork((2,), 2, 2, key=KEY), (2,))
    collection = plot_figure_one(diffusion, SWISS_ROLL, KEY, grid_size=3, backend="none")
    assert [title(collection, "drift", t).split(",")[0] for t in (0, 1, 2)] == ["t = 2"] * 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_slices(FORWARD[:2], REVERSE, GRID, DRIFT, times=TIMES), r"forward: .* shape \(3, datum, 2\)"),
        (lambda: plot_slices(FORWARD, REVERSE[..., :1], GRID, DRIFT, times=TIMES), "reverse"),
        (lambda: plot_slices(FORWARD, REVERSE, GRID[1:], DRIFT, times=TIMES), r"drift_points: .* \(3, 20, 2\)"),
        (lambda: plot_slices(FORWARD, REVERSE, GRID, DRIFT[0], times=TIMES), "drift: expected"),
        (lambda: plot_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES, drift_times=(1,)), "drift_times"),
        (lambda: plot_slices(FORWARD, REVERSE, GRID, DRIFT, times=(0, 1, 1)), "times: expected times that differ"),
        (lambda: plot_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES, backend="gnuplot"), "backend"),
        (lambda: plot_figure_one(SEQUENCES, SWISS_ROLL, KEY), r"diffusion: expected event shape \(2,\), got \(20,\)"),
        (lambda: plot_figure_one(PLANE, SWISS_ROLL[:, :1], KEY), r"x_0: expected shape \(datum, 2\)"),
        (lambda: plot_figure_one(PLANE, SWISS_ROLL * np.inf, KEY), "x_0: expected finite"),
        (lambda: plot_figure_one(PLANE, SWISS_ROLL, KEY, num_points=0), "num_points"),
        (lambda: plot_figure_one(PLANE, SWISS_ROLL, KEY, grid_size=0), "grid_size"),
    ],
)
def test_bad_input(draw, message):
    with pytest.raises(InputError, match=message) as caught:
        draw()
    assert "\n" not in str(caught.value)
