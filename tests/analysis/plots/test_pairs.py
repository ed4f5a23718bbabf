import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots.pairs import plot_pairs
from dpm_ppl.data.columns import Column
from tests.analysis.plots.backends import BACKENDS, close_figures, figure_title, legend_names, panel_of  # noqa: F401

pytestmark = pytest.mark.usefixtures("close_figures")
RNG = np.random.default_rng(0)
COLUMNS = (
    Column("od280/od315"),
    Column("rings", "whole", 0, 9),
    Column("kind", "category", 0, 2, ("ale", "bock", "stout")),
)


def table(num):
    return np.column_stack([RNG.normal(700, 30, num), RNG.integers(0, 10, num), RNG.integers(0, 3, num)])


DRAWS = {"held-out data": table(40), "diffusion": table(90)}


def shown(collection, x, y):
    return panel_of(collection, collection.get_target(f"column {x}", {}, f"column {y}", {}))


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_two_columns_have_a_panel_and_every_column_a_histogram(backend):
    collection = plot_pairs(DRAWS, columns=COLUMNS, title="beers", backend=backend)
    assert figure_title(collection) == "beers"
    if backend != "none":
        assert legend_names(collection) == list(DRAWS)
    for row in range(3):
        assert COLUMNS[row].name in shown(collection, row, 2).x_label
        assert COLUMNS[row].name in shown(collection, 0, row).y_label
        for column in range(row):
            drawn = shown(collection, column, row)
            for points, values in zip(drawn.points, reversed(DRAWS.values()), strict=True):  # the data on top
                np.testing.assert_allclose(points, values[:, [column, row]])
        bars = shown(collection, row, row)
        for outline, values in zip(bars.lines, reversed(DRAWS.values()), strict=True):
            edges, shares = outline[1:, 0], outline[1:-1, 1]
            inside = ((values[:, row] >= edges[0]) & (values[:, row] <= edges[-1])).mean()
            assert shares.sum() == pytest.approx(inside)
            assert inside > 0.9


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_can_only_be_whole_has_whole_ticks_and_bars(backend):
    collection = plot_pairs(DRAWS, columns=COLUMNS, backend=backend)
    rings, kinds = shown(collection, 1, 2), shown(collection, 2, 2)
    assert len(rings.x_ticks) > 1
    assert all(tick == int(tick) for tick in rings.x_ticks)
    assert list(kinds.x_ticks) == [0, 1, 2]
    for outline, values in zip(kinds.lines, reversed(DRAWS.values()), strict=True):
        shares = np.bincount(values[:, 2].astype(int)) / len(values)
        np.testing.assert_allclose(outline[1:4, 1], shares)
        np.testing.assert_allclose(outline[1:5, 0], [-0.5, 0.5, 1.5, 2.5])


def test_the_axes_are_those_of_the_first():
    far = {"data": DRAWS["held-out data"], "wild": 100 * DRAWS["diffusion"]}
    first, other = (plot_pairs(draws, columns=COLUMNS, backend="none") for draws in (far, {"data": far["data"]}))
    assert shown(first, 0, 1).view == shown(other, 0, 1).view
    low, high = shown(first, 0, 0).view[0]
    assert low < far["data"][:, 0].min() < far["data"][:, 0].max() < high


def test_of_many_columns_the_first_that_vary_are_shown():
    wide = RNG.normal(size=(30, 9))
    wide[:, 1] = 4.0
    collection = plot_pairs({"data": wide}, backend="none")
    assert list(collection.viz["var_name_x"].values) == [f"column {place}" for place in (0, 2, 3, 4, 5)]
    assert shown(collection, 5, 5).x_label == "column 5"  # counted from 0, as arrays and notices are
    assert plot_pairs({"data": wide[:, 1:2]}, backend="none").viz["plot"].shape == (1, 1)
    assert plot_pairs({"data": wide[:, 1]}, backend="none").viz["plot"].shape == (1, 1)


@pytest.mark.parametrize(
    ("draws", "columns", "argument"),
    [
        ({}, None, "draws"),
        ({"a": 1.0}, None, "draws"),
        ({"a": np.zeros((3, 2)), "b": np.zeros((3, 4))}, None, "draws"),
        ({"a": np.full((3, 2), np.nan)}, None, "draws['a']"),
        ({"a": np.zeros((3, 2))}, ["x"], "columns"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input(draws, columns, argument):
    with pytest.raises(InputError) as caught:
        plot_pairs(draws, columns=columns, backend="none")
    assert caught.value.argument == argument
