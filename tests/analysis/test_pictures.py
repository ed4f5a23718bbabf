import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.container import ErrorbarContainer
from matplotlib.quiver import Quiver

from dpm_ppl._errors import InputError
from dpm_ppl.analysis.pictures import chain_slices, figure_one, figure_two, raster, sample_grid, training_curve
from dpm_ppl.chains import sample, sample_path
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, noise_prediction
from dpm_ppl.networks import RBFNetwork, SigmoidMLP, TimeMLP
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.schedules import Erasure, Fixed

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 17, size=(7, 8, 6))
FORWARD, REVERSE = RNG.normal(size=(3, 50, 2)), 2 * RNG.normal(size=(3, 40, 2))
GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-2, 2, 5)), axis=-1).reshape(-1, 2)
DRIFT = RNG.normal(size=(3, 20, 2)) * np.array([1e-6, 1e-2, 1.0])[:, None, None]
TIMES = (0, 20, 40)
BITS = RNG.integers(0, 2, size=(3, 9, 20))
ROWS = [{"update": 10 * i, "loss": 5.0 - i, "K": i - 3.0, "K_se": 0.1 + i} for i in range(1, 5)]
ANGLES = np.linspace(5.0, 14.0, 30)
SWISS_ROLL = np.stack([ANGLES * np.cos(ANGLES), ANGLES * np.sin(ANGLES)], axis=-1) / 7


class NullNetwork(AbstractNetwork):
    """Zero outputs: the reverse chain is the forward kernel."""

    num_outputs: int

    def __call__(self, x_t, step):
        return jnp.zeros((*x_t.shape, self.num_outputs))


BETAS = np.array([1e-8, 2e-8, 0.1, 0.5, 0.9])
PLANE = Diffusion(GaussianKernel(noise_prediction), Fixed(BETAS), NullNetwork(2), (2,))
SEQUENCES = Diffusion(BernoulliKernel(0.2), Erasure(6), NullNetwork(1), (20,))


def render(figure):
    """What drawing would warn of is an error under test."""
    figure.savefig(io.BytesIO(), format="png", dpi=30)
    return figure


def panels(figure, num_rows, num_columns):
    assert len(figure.axes) == num_rows * num_columns
    return np.array(figure.axes).reshape(num_rows, num_columns)


def offsets(axes):
    (points,) = axes.collections
    return np.asarray(points.get_offsets())


def arrows(axes):
    (quiver,) = (artist for artist in axes.collections if isinstance(artist, Quiver))
    return quiver


def test_no_figure_is_left_with_pyplot():
    render(training_curve(ROWS, unit="bits/point"))
    assert pyplot.get_fignums() == []


# --- sample_grid


@pytest.mark.parametrize(("num_columns", "shape"), [(None, (3, 3)), (2, (4, 2)), (7, (1, 7)), (20, (1, 7))])
def test_images_stand_row_by_row_and_do_not_overlap(num_columns, shape):
    figure = render(sample_grid(IMAGES, num_columns=num_columns, title="digits"))
    (axes,) = figure.axes
    assert figure.get_suptitle() == "digits"
    assert len(axes.images) == len(IMAGES)
    for shown, image in zip(axes.images, IMAGES, strict=True):
        np.testing.assert_array_equal(shown.get_array(), image)
        assert shown.get_clim() == (IMAGES.min(), IMAGES.max())
        assert not axes.axison
    lefts, rights, bottoms, tops = np.array([shown.get_extent() for shown in axes.images]).T
    np.testing.assert_allclose(rights - lefts, 6)
    np.testing.assert_allclose(bottoms - tops, 8)
    columns, rows = (np.unique(edges, return_inverse=True)[1] for edges in (lefts, tops))
    np.testing.assert_array_equal(rows * shape[1] + columns, np.arange(len(IMAGES)))
    assert (rows.max() + 1, columns.max() + 1) == shape
    assert axes.get_xlim() == pytest.approx((lefts.min(), rights.max()))
    assert axes.get_ylim() == pytest.approx((bottoms.max(), tops.min()))
    for edges, ends in ((lefts, rights), (tops, bottoms)):
        assert np.all(np.unique(edges)[1:] > np.unique(ends)[:-1])


def test_limits_and_colours_can_be_chosen():
    (axes,) = sample_grid(IMAGES / 3, limits=(0.0, 17.0), cmap="gray").axes
    assert {(shown.get_clim(), shown.get_cmap().name) for shown in axes.images} == {((0.0, 17.0), "gray")}


# --- chain_slices


def test_chain_slices_show_the_points_they_are_given():
    figure = render(chain_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES, title="roll"))
    grid = panels(figure, 3, 3)
    for column, t in enumerate(TIMES):
        np.testing.assert_array_equal(offsets(grid[0, column]), FORWARD[column])
        np.testing.assert_array_equal(offsets(grid[1, column]), REVERSE[column])
        np.testing.assert_array_equal(offsets(grid[2, column]), GRID)
        assert grid[0, column].get_title() == f"$q(x_{{{t}}})$"
        assert grid[1, column].get_title() == f"$p(x_{{{t}}})$"
        assert f"t = {max(t, 1)}$" in grid[2, column].get_title()
    assert [axes.get_ylabel().split()[0] for axes in grid[:, 0]] == ["forward", "reverse", "drift"]
    assert figure.get_suptitle() == "roll"
    assert figure.get_supxlabel() == "50 forward and 40 reverse draws, 20 arrows"


def test_all_panels_have_the_same_limits_and_hold_every_point():
    figure = chain_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES)
    (limits,) = {(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}
    for (low, high), coordinate in zip(limits, (0, 1), strict=True):
        everything = np.concatenate([values[..., coordinate].ravel() for values in (FORWARD, REVERSE, GRID)])
        assert low < everything.min()
        assert everything.max() < high
    assert np.ptp(limits[0]) == pytest.approx(np.ptp(limits[1]))
    assert {axes.get_aspect() for axes in figure.axes} == {1.0}


def test_arrows_are_the_drift_times_the_factor_in_the_title():
    figure = chain_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES)
    for axes, drift in zip(panels(figure, 3, 3)[2], DRIFT, strict=True):
        quiver = arrows(axes)
        assert len(GRID) == quiver.N
        np.testing.assert_array_equal(np.stack([quiver.U, quiver.V], axis=-1), drift)
        factor = float(axes.get_title().split()[-1].replace(",", ""))
        assert (quiver.angles, quiver.scale_units, quiver.scale) == ("xy", "xy", pytest.approx(1 / factor))
        lengths = factor * np.linalg.norm(drift, axis=-1) / np.sqrt(2 * 4 / 20)  # in spacings of the grid
        assert 0.5 < np.quantile(lengths, 0.95) <= 1.5
        assert f"{factor:.0e}"[0] in "125"


@pytest.mark.parametrize("points", [GRID, np.stack([GRID, GRID + 1, GRID - 1])])
def test_points_of_the_drift_may_differ_between_times(points):
    figure = render(chain_slices(FORWARD, REVERSE, points, DRIFT, times=TIMES, drift_times=(2, 20, 39)))
    for axes, expected in zip(panels(figure, 3, 3)[2], np.broadcast_to(points, DRIFT.shape), strict=True):
        np.testing.assert_array_equal(offsets(axes), expected)
    assert "t = 2$" in figure.axes[6].get_title()


def test_nothing_moves_and_nothing_spreads():
    render(chain_slices(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.zeros((1, 2)), np.zeros((1, 1, 2)), times=[0]))


# --- raster


@pytest.mark.parametrize("pulse_column", [1, 4])
def test_rows_are_rolled_alike_and_a_pulse_stands_in_the_column(pulse_column):
    samples = BITS.copy()
    samples[0, 2] = 0  # a sequence without a pulse stays where it is
    figure = render(raster(samples, times=TIMES, pulse_column=pulse_column))
    shown = np.stack([axes.images[0].get_array() for axes in panels(figure, 1, 3)[0]])
    assert [axes.get_title() for axes in figure.axes] == ["$t = 0$", "$t = 20$", "$t = 40$"]
    np.testing.assert_array_equal(shown[:, 2], samples[:, 2])
    for i in set(range(9)) - {2}:
        assert shown[0, i, pulse_column - 1] == 1
        first_pulse = list(samples[0, i]).index(1)
        for before, after in zip(samples[:, i], shown[:, i], strict=True):
            np.testing.assert_array_equal([after[(b - first_pulse + pulse_column - 1) % 20] for b in range(20)], before)


def test_heartbeats_all_look_alike_once_rolled():
    beats = (np.arange(20) % 5 == np.arange(5)[:, None]).astype(int)
    axes = raster(np.stack([beats, BITS[0, :5]]), times=(0, 9)).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), np.tile(beats[0], (5, 1)))
    assert (axes.get_xlim(), axes.get_ylim()) == ((0.5, 20.5), (5.5, 0.5))


# --- training_curve


def test_training_curve_shows_loss_and_bound_with_error_bars():
    figure = render(training_curve(ROWS, unit="bits/point"))
    top, bottom = figure.axes
    np.testing.assert_array_equal(top.lines[0].get_xydata(), [[10, 4], [20, 3], [30, 2], [40, 1]])
    (bars,) = (each for each in bottom.containers if isinstance(each, ErrorbarContainer))
    np.testing.assert_array_equal(bars[0].get_xydata(), [[10, -2], [20, -1], [30, 0], [40, 1]])
    spans = [np.ptp(segment[:, 1]) for segment in bars[2][0].get_segments()]
    np.testing.assert_allclose(spans, 2 * np.array([row["K_se"] for row in ROWS]))
    assert all("bits/point" in axes.get_ylabel() for axes in figure.axes)
    assert bottom.get_xlabel() == "updates"


def test_training_curve_leaves_out_what_is_missing():
    rows = [{"update": 1, "loss": 3.0}, {"update": 2, "loss": np.nan, "K": 1.0}, {"update": 3, "K": None, "loss": 1.0}]
    loss, K = render(training_curve(rows, unit="nats")).axes
    np.testing.assert_array_equal(loss.lines[0].get_xydata(), [[1, 3], [2, np.nan], [3, 1]])
    np.testing.assert_array_equal(K.containers[0][0].get_xydata(), [[2, 1]])
    assert len(render(training_curve([{"update": 1, "loss": 3.0}], unit="nats")).axes) == 1


# --- from a diffusion


@pytest.mark.parametrize(("edge", "first"), [("fixed", 2), ("learned", 1)])
def test_figure_one_draws_both_chains_and_the_exact_drift(edge, first):
    diffusion = Diffusion(PLANE.kernel, PLANE.schedule, PLANE.network, (2,), edge)
    grid = panels(render(figure_one(diffusion, SWISS_ROLL, KEY, num_points=25, grid_size=4)), 3, 3)
    assert [axes.get_title() for axes in grid[0]] == ["$q(x_{0})$", "$q(x_{2})$", "$q(x_{5})$"]
    data = {tuple(point) for point in SWISS_ROLL.astype(np.float32).tolist()}
    assert {tuple(point) for point in offsets(grid[0, 0]).tolist()} < data
    assert {len(offsets(axes)) for axes in grid[:2].flat} == {25}
    # Betas below float32's resolution: the drift would be rounding noise if it were formed in float32.
    for axes, t in zip(grid[2], (first, 2, 5), strict=True):
        quiver = arrows(axes)
        assert quiver.N == 16
        drift = np.expm1(0.5 * np.log1p(-BETAS[t - 1])) * offsets(axes)
        np.testing.assert_allclose(np.stack([quiver.U, quiver.V], -1), drift, rtol=1e-5, atol=1e-30)
        assert f"t = {t}$" in axes.get_title()
    np.testing.assert_allclose(offsets(grid[0, 1]), offsets(grid[0, 0]), atol=1e-3)  # as good as no noise at t = 2


def test_figure_one_shows_the_marginal_and_the_stationary_law():
    points = np.full((2000, 2), 3.0)
    diffusion = Diffusion(PLANE.kernel, Fixed([0.3, 0.2, 0.4, 0.9]), NullNetwork(2), (2,))
    grid = panels(figure_one(diffusion, points, KEY), 3, 3)
    laws = {  # mean and variance of each coordinate
        (0, 1): (3 * np.sqrt(0.7 * 0.8), 1 - 0.7 * 0.8),
        (0, 2): (3 * np.sqrt(0.7 * 0.8 * 0.6 * 0.1), 1 - 0.7 * 0.8 * 0.6 * 0.1),
        **{(1, column): (0.0, 1.0) for column in range(3)},
    }
    for place, (mean, variance) in laws.items():
        draws = offsets(grid[place])
        np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * np.sqrt(variance / 2000))
        np.testing.assert_allclose(draws.var(axis=0), variance, atol=5 * variance * np.sqrt(2 / 2000))


@pytest.mark.parametrize(
    "network", [TimeMLP((2,), 2, 2, width=8, depth=1, key=KEY), RBFNetwork((2,), 2, 2, key=KEY)], ids=["mlp", "rbf"]
)
def test_figure_one_takes_any_network_and_the_shortest_chain(network):
    figure = figure_one(Diffusion(GaussianKernel(), Erasure(2), network, (2,)), SWISS_ROLL, KEY, grid_size=3)
    assert [axes.get_title().split(",")[0] for axes in figure.axes[6:]] == ["$t = 2$"] * 3
    assert jnp.zeros(()).dtype == jnp.float32  # float64 does not leak


def test_figure_two_shows_the_trajectories_that_end_in_samples():
    figure = render(figure_two(SEQUENCES, KEY, num_samples=30, title="heartbeats"))
    shown = [np.asarray(axes.images[0].get_array()) for axes in panels(figure, 1, 3)[0]]
    path = sample_path(SEQUENCES, KEY, (30,))
    expected = np.stack([sample(SEQUENCES, KEY, 30), path[2], path[5]])
    shifts = -expected[0].argmax(axis=1)
    for bits, before in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(bits, [np.roll(row, shift) for row, shift in zip(before, shifts, strict=True)])
    assert [axes.get_title() for axes in figure.axes] == ["$t = 0$", "$t = 3$", "$t = 6$"]


def test_figure_two_takes_a_network():
    network = SigmoidMLP((20,), 1, 6, key=KEY)
    render(figure_two(Diffusion(BernoulliKernel(), Erasure(6), network, (20,)), KEY, num_samples=2))


# --- bad input


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: sample_grid(IMAGES[0]), r"images: expected shape \(num_images, height, width\), got shape \(8, 6\)"),
        (lambda: sample_grid(IMAGES[:0]), r"got shape \(0, 8, 6\)"),
        (lambda: sample_grid(np.full((2, 2, 2), np.nan)), "got NaN or infinity"),
        (lambda: sample_grid(np.full((2, 2, 2), "a")), "got dtype <U1"),
        (lambda: sample_grid(IMAGES, num_columns=0), "num_columns"),
        (lambda: chain_slices(FORWARD[:2], REVERSE, GRID, DRIFT, times=TIMES), r"forward: .* shape \(3, datum, 2\)"),
        (lambda: chain_slices(FORWARD, REVERSE[..., :1], GRID, DRIFT, times=TIMES), "reverse"),
        (lambda: chain_slices(FORWARD, REVERSE, GRID[1:], DRIFT, times=TIMES), r"drift_points: .* \(3, 20, 2\)"),
        (lambda: chain_slices(FORWARD, REVERSE, GRID, DRIFT[0], times=TIMES), "drift: expected"),
        (lambda: chain_slices(FORWARD, REVERSE, GRID, DRIFT, times=TIMES, drift_times=(1,)), "drift_times"),
        (lambda: raster(BITS[0], times=TIMES), r"samples: expected shape \(3, datum, bin\)"),
        (lambda: raster(BITS, times=TIMES[:2]), r"samples: expected shape \(2, datum, bin\)"),
        (lambda: raster(BITS * 2, times=TIMES), "expected bits, 0 or 1, got also 2"),
        (lambda: raster(BITS, times=TIMES, pulse_column=0), r"pulse_column: expected a column, 1 ... 20, got 0"),
        (lambda: raster(BITS, times=TIMES, pulse_column=21), "pulse_column"),
        (lambda: training_curve([], unit="nats"), "got 0 rows with neither"),
        (lambda: training_curve([{"update": 1, "seconds": 2.0}], unit="nats"), "got 1 rows with neither"),
        (lambda: training_curve([{"loss": 1.0}], unit="nats"), "expected `update` in every row"),
        (lambda: figure_one(SEQUENCES, SWISS_ROLL, KEY), r"diffusion: expected event shape \(2,\), got \(20,\)"),
        (lambda: figure_one(PLANE, SWISS_ROLL[:, :1], KEY), r"x_0: expected shape \(datum, 2\)"),
        (lambda: figure_one(PLANE, SWISS_ROLL * np.inf, KEY), "x_0: expected finite"),
        (lambda: figure_one(PLANE, SWISS_ROLL, KEY, num_points=0), "num_points"),
        (lambda: figure_one(PLANE, SWISS_ROLL, KEY, grid_size=0), "grid_size"),
        (lambda: figure_two(PLANE, KEY), "diffusion: expected a BernoulliKernel"),
        (lambda: figure_two(SEQUENCES, KEY, num_samples=0), "num_samples"),
    ],
)
def test_bad_input(draw, message):
    with pytest.raises(InputError, match=message) as caught:
        draw()
    assert "\n" not in str(caught.value)
