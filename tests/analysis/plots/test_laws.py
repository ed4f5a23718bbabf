"""What holds of every plot: legends name what is drawn, ticks are numbers that can occur, colours can be told apart."""

import itertools

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb

from dpm_ppl.analysis.plots._parts.axes import powers_of_two, whole_numbers
from dpm_ppl.analysis.plots.chain import plot_entropy_bounds, plot_schedule
from dpm_ppl.analysis.plots.curves import plot_ladder, plot_training
from dpm_ppl.analysis.plots.draws import plot_draws
from dpm_ppl.analysis.plots.forest import plot_figures
from dpm_ppl.analysis.plots.weights import STYLES, plot_exact_against_estimated, plot_khat_per_datum
from dpm_ppl.estimates import Estimate
from dpm_ppl.likelihood.diagnostics import VERDICTS
from tests.analysis.plots.backends import close_figures
from tests.analysis.plots.results import groups
from tests.instances import DIFFUSIONS

pytestmark = pytest.mark.usefixtures("close_figures")
__all__ = ["close_figures"]

PLOTS = {
    "entropy": lambda: plot_entropy_bounds(groups()[1], backend="matplotlib"),
    "schedule": lambda: plot_schedule(
        {name: DIFFUSIONS["gaussian"]() for name in ("one", "two")}, backend="matplotlib"
    ),
    "ladder": lambda: plot_ladder(
        {"short": groups()[2], "long": groups()[3]}, exact=Estimate(-2.0, 0.1, 9), backend="matplotlib"
    ),
    "k-hat": lambda: plot_khat_per_datum(groups()[3], backend="matplotlib"),
    "exact": lambda: plot_exact_against_estimated(groups()[3], np.linspace(-9, 0, 6), backend="matplotlib"),
    "pairs": lambda: plot_draws(
        {name: np.random.default_rng(0).normal(size=(20, 3)) for name in ("data", "flow")}, backend="matplotlib"
    ),
    "figures": lambda: plot_figures(
        {"a": {"K": Estimate(0.0, 1.0, 9), "best": Estimate(1.0, 1.0, 9)}},
        unit="bits",
        backend="matplotlib",
    ),
}


def colours_in(axes):
    lines = [line.get_color() for line in axes.lines]
    clouds = [
        colour for cloud in axes.collections if isinstance(cloud, PathCollection) for colour in cloud.get_facecolor()
    ]
    return {tuple(np.round(to_rgb(colour), 3)) for colour in (*lines, *clouds)}


@pytest.mark.parametrize("name", PLOTS)
def test_legends_name_what_is_drawn_and_nothing_else(name):
    """Every entry has the colour of something in the axes, and no two have the same."""
    figure = PLOTS[name]().viz["figure"].item()
    (legend,) = figure.legends
    drawn = set().union(*(colours_in(axes) for axes in figure.axes))
    named = [tuple(np.round(to_rgb(handle.get_color()), 3)) for handle in legend.legend_handles]
    assert set(named) <= drawn
    assert len(set(named)) == len(named) > 0


@pytest.mark.parametrize("last", [1, 2, 7, 12, 30, 1000, 1797])
def test_ticks_of_whole_numbers_are_whole_and_inside(last):
    ticks = whole_numbers(np.arange(last))
    assert all(isinstance(tick, int) and 0 <= tick < last for tick in ticks)
    assert 1 <= len(ticks) <= 13
    assert len(set(ticks)) == len(ticks)


@pytest.mark.parametrize("last", [1, 2, 64, 100, 512, 2**20, 2**30])
def test_ticks_of_particles_are_powers_of_two_around_all_of_them(last):
    ticks = powers_of_two([1, last])
    assert set(np.log2(ticks) % 1) == {0}
    assert ticks[0] == 1
    assert len(ticks) <= 12
    assert ticks[-1] * 2 ** (np.diff(np.log2(ticks)).max(initial=1)) >= last


def test_updates_have_whole_ticks():
    rows = [{"update": update, "loss": 1.0} for update in (0, 1, 2)]
    axes = plot_training(rows, unit="bits", backend="matplotlib").get_target("loss", {})
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2"]


DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
"""What a reader without green cones sees of linear red, green and blue (Machado, Oliveira and Fernandes 2009)."""
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
"""The same without red cones."""
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(colour, sight):
    """Coordinates of CIELAB, in which a distance of 2 can just be told side by side."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(sight @ linear, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["usual", "no green", "no red"])
def test_verdicts_are_told_apart_by_all_readers(sight):
    assert set(STYLES) == set(VERDICTS)
    for one, other in itertools.combinations(STYLES.values(), 2):
        assert np.linalg.norm(lab(one["color"], sight) - lab(other["color"], sight)) > 20
        assert one["marker"] != other["marker"]
    red, green, _ = to_rgb(STYLES["unusable"]["color"])
    assert red > 2 * green  # not the colour of what is well
