import jax
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots.raster import plot_figure_two, plot_raster
from dpm_ppl.diffusion.sampling import sample, sample_path
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.schedules import Erasure
from tests.analysis.plots.backends import BACKENDS, close_figures, figure_title, panel  # noqa: F401
from tests.instances import small

pytestmark = pytest.mark.usefixtures("close_figures")
KEY = jax.random.key(0)
TIMES = (0, 20, 40)
BITS = np.random.default_rng(0).integers(0, 2, size=(3, 9, 20))
SEQUENCES = small(BernoulliKernel(0.2), Erasure(6), (20,), network="sigmoid")
PLANE = small(GaussianKernel(), Erasure(6, beta_1=0.01))


def panels(collection, times=TIMES):
    return [panel(collection, "bits", time=t) for t in times]


def image(shown):
    (drawn,) = shown.images
    return drawn


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pulse_column", [1, 4])
def test_rows_are_rolled_alike_and_a_pulse_stands_in_the_column(backend, pulse_column):
    samples = BITS.copy()
    samples[0, 2] = 0  # a sequence without a pulse stays where it is
    collection = plot_raster(samples, times=TIMES, pulse_column=pulse_column, title="beats", backend=backend)
    assert figure_title(collection) == "beats"
    images = [image(each) for each in panels(collection)]
    assert {(each.limits, each.high, each.edges) for each in images} == {((0, 1), "black", (0.5, 20.5, 9.5, 0.5))}
    shown = np.stack([each.values for each in images])
    np.testing.assert_array_equal(shown[:, 2], samples[:, 2])
    for i in set(range(9)) - {2}:
        assert shown[0, i, pulse_column - 1] == 1
        first_pulse = list(samples[0, i]).index(1)
        for before, after in zip(samples[:, i], shown[:, i], strict=True):
            np.testing.assert_array_equal([after[(b - first_pulse + pulse_column - 1) % 20] for b in range(20)], before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_panels_are_named_by_their_time(backend):
    shown = panels(plot_raster(BITS, times=TIMES, pulse_column=3, backend=backend))
    assert [each.title for each in shown] == ["t = 0", "t = 20", "t = 40"]
    assert {each.x_label for each in shown} == {"bin, rolled to a pulse in 3"}
    assert [each.y_label for each in shown] == ["sample", "", ""]
    assert {each.view for each in shown} == {((0.5, 20.5), (9.5, 0.5))}  # the first sample on top


def test_heartbeats_all_look_alike_once_rolled():
    beats = (np.arange(20) % 5 == np.arange(5)[:, None]).astype(int)
    collection = plot_raster(np.stack([beats, BITS[0, :5]]), times=(0, 9), backend="none")
    np.testing.assert_array_equal(image(*panels(collection, [0])).values, np.tile(beats[0], (5, 1)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_figure_two_shows_the_trajectories_that_end_in_samples(backend):
    collection = plot_figure_two(SEQUENCES, KEY, num_samples=30, title="heartbeats", backend=backend)
    shown = panels(collection, (0, 3, 6))
    path = sample_path(SEQUENCES, KEY, (30,))
    expected = np.stack([sample(SEQUENCES, KEY, 30), path[2], path[5]])
    shifts = np.where(expected[0].any(axis=1), -expected[0].argmax(axis=1), 0)
    for each, before in zip(shown, expected, strict=True):
        rolled = [np.roll(row, shift) for row, shift in zip(before, shifts, strict=True)]
        np.testing.assert_array_equal(image(each).values, rolled)
    assert [each.title for each in shown] == ["t = 0", "t = 3", "t = 6"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_raster(BITS[0], times=TIMES), r"samples: expected shape \(3, datum, bin\)"),
        (lambda: plot_raster(BITS, times=TIMES[:2]), r"samples: expected shape \(2, datum, bin\)"),
        (lambda: plot_raster(BITS, times=(0, 20, 20)), r"times: expected times that differ, got \[0, 20, 20\]"),
        (lambda: plot_raster(BITS[:0], times=()), "times: expected times"),
        (lambda: plot_raster(BITS * 2, times=TIMES), "expected bits, 0 or 1, got also 2"),
        (lambda: plot_raster(BITS, times=TIMES, pulse_column=0), r"pulse_column: expected a column, 1 ... 20, got 0"),
        (lambda: plot_raster(BITS, times=TIMES, pulse_column=21), "pulse_column"),
        (lambda: plot_raster(BITS, times=TIMES, backend="gnuplot"), "backend"),
        (lambda: plot_figure_two(PLANE, KEY), "diffusion: expected a BernoulliKernel"),
        (lambda: plot_figure_two(SEQUENCES, KEY, num_samples=0), "num_samples"),
    ],
)
def test_bad_input(draw, message):
    with pytest.raises(InputError, match=message) as caught:
        draw()
    assert "\n" not in str(caught.value)
