import numpy as np
import pytest

import dpm_ppl as dpm
from dpm_ppl.analysis.plots.forest import plot_figures
from dpm_ppl.estimates import Estimate
from tests.analysis.plots.backends import BACKENDS, close_figures, legend_names, panel  # noqa: F401

pytestmark = pytest.mark.usefixtures("close_figures")
ROWS = {
    "diffusion": {
        "K": Estimate(-2.0, 0.25, 9),
        "importance-weighted": Estimate(-1.5, 0.5, 9),
    },
    "flow": {"K": Estimate(-3.0, 0.125, 9)},
    "failed": {"K": Estimate(-np.inf, np.nan, 9)},
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_figure_lies_in_its_row_between_two_standard_errors(backend):
    collection = plot_figures(ROWS, unit="bits/point", exact=Estimate(-1.0, 0.0, 9), backend=backend)
    shown = panel(collection, "figures")
    assert shown.x_label == "bits/point, higher is better"
    K, weighted = shown.points
    np.testing.assert_allclose(K[:, 0], [-2, -3])
    np.testing.assert_allclose(weighted[:, 0], [-1.5])
    np.testing.assert_allclose([K[0, 1], K[1, 1], weighted[0, 1]], [2.12, 1.12, 1.88])  # the first row on top
    np.testing.assert_array_equal(*shown.bars, [[-1, -0.5, 2.5]])
    of_K, of_weighted = shown.lines
    np.testing.assert_allclose(of_K[[0, 1, 3, 4], 0], [-2.5, -1.5, -3.25, -2.75])
    np.testing.assert_allclose(of_weighted[:2, 0], [-2.5, -0.5])
    if backend != "none":
        assert legend_names(collection) == ["K", "importance-weighted"]


def test_one_kind_of_figure_needs_no_legend():
    rows = {name: {"figure": figures["K"]} for name, figures in ROWS.items()}
    assert "legend" not in plot_figures(rows, unit="bits/dim", better="lower", backend="none").viz.children


@pytest.mark.parametrize("rows", [{}, {"a": {}}])
def test_refuses_nothing(rows):
    with pytest.raises(dpm.InputError, match="rows"):
        plot_figures(rows, unit="bits", backend="none")
