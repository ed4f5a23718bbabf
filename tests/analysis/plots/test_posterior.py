"""What was observed beside what follows from it, on every backend."""

import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots.posterior import UNSEEN, plot_posterior
from tests.analysis.plots.backends import BACKENDS, close_figures, panel  # noqa: F401

pytestmark = pytest.mark.usefixtures("close_figures")
RNG = np.random.default_rng(0)
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def made(*shape, num=2):
    draws = RNG.normal(size=(num, 30, *shape))
    observed = draws[:, 0].copy()
    observed[0, ..., 0] = np.nan
    return observed, draws


@every_backend
def test_images_have_a_row_for_each_observation(backend):
    observed, draws = made(4, 3)
    collection = plot_posterior(observed, draws, backend=backend)
    shown = {
        "draw 1": draws[:, 0],
        "draw 3": draws[:, 2],
        "mean": draws.mean(axis=1),
        "standard deviation": draws.std(axis=1),
    }
    for name, values in shown.items():
        (cells,) = panel(collection, "x_0", member=name).images
        np.testing.assert_allclose(cells.values[:4, :3], values[0])
        np.testing.assert_allclose(cells.values[5:, :3], values[1])
        low, high = (0, values.max()) if name == "standard deviation" else (draws.min(), draws.max())
        assert cells.limits == pytest.approx((low, high))
    under, over = panel(collection, "x_0", member="observed").images
    np.testing.assert_allclose(over.values[:4, :3], observed[0])
    np.testing.assert_allclose(under.values[0, 0, :3], UNSEEN, atol=0.01)


@every_backend
def test_few_coordinates_have_a_panel_each_and_a_mark_where_they_were_observed(backend):
    observed, draws = made(2)
    collection = plot_posterior(observed, draws, columns=["a", "b"], backend=backend)
    unseen = panel(collection, "x_0", observation=0, coordinate="a")
    seen = panel(collection, "x_0", observation=1, coordinate="b")
    assert (len(unseen.lines), len(unseen.bars)) == (1, 0)
    (mark,) = seen.bars
    assert mark[0, 0] == observed[1, 1]
    assert unseen.title == "a"
    assert unseen.y_label == "observation 0"


@every_backend
def test_many_coordinates_are_a_profile(backend):
    observed, draws = made(9)
    collection = plot_posterior(observed, draws, backend=backend)
    shown = panel(collection, "observation 0")
    np.testing.assert_allclose(shown.lines[0][:, 1], draws[0].mean(axis=0))
    (marks,) = shown.points
    np.testing.assert_allclose(marks, np.stack([np.arange(1, 9), observed[0, 1:]], axis=1))


def test_bits_colours_known_coordinates_and_many_observations_are_drawn_too():
    bits = RNG.integers(0, 2, size=(2, 5, 7))
    assert "draw 2" in plot_posterior(bits[:, 0], bits, backend="none").viz["plot"]["member"].values
    plot_posterior(*made(4, 4, 3), backend="none")
    plot_posterior(*made(2, 3, 4, 2), backend="none")
    constant = np.full((1, 5, 1), 0.1)
    plot_posterior(constant[:, 0], constant, backend="none")
    assert plot_posterior(*made(2, num=11), backend="none").viz["plot"].sizes["observation"] == 8


def test_draws_that_do_not_fit_are_refused():
    observed, draws = made(3)
    for values in (draws[0], draws[:1], np.full_like(draws, np.nan)):
        with pytest.raises(InputError, match="draws"):
            plot_posterior(observed, values)
