"""Plots of both chains of a diffusion of the plane at a few times: figure 1 of Sohl-Dickstein et al. (2015)."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from arviz_plots import visuals
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_key, check_sizes, finite_array
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.analysis.chain_slices import forward_slices, paper_times, reverse_drift, reverse_slices
from dpm_ppl.analysis.plots._parts.inputs import check_times
from dpm_ppl.analysis.plots._parts.panels import FIGURE_WIDTH, panels
from dpm_ppl.analysis.plots._parts.visuals import arrow_lines, set_equal_axes
from dpm_ppl.diffusion.diffusion import Diffusion

DRIFT_QUANTILE = 0.95  # this share of a panel's arrows is no longer than ...
ARROW_LENGTH = 1.5  # ... so many times the distance between neighbours
LARGEST_PANEL = 334.0  # dots
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def plot_slices(
    forward: ArrayLike,
    reverse: ArrayLike,
    drift_points: ArrayLike,
    drift: ArrayLike,
    *,
    times: Sequence[int],
    drift_times: Sequence[int] | None = None,
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """Slices of the forward chain, of the reverse chain, and the drift of the reverse chain, at the same times.

    The layout of figure 1 of the paper: one column per time; draws from q(x_t) on top, draws from p(x_t) below them,
    and the drift f_mu(x_t, t) - x_t as arrows at the bottom. All panels have the same limits. Drifts differ by orders
    of magnitude along a chain, so each panel magnifies its arrows by a factor of its own, which stands in its title.

    **Arguments:**

    - `forward`, `reverse`: shape `(time, datum, 2)`; the two may hold different numbers of data.
    - `drift_points`: where the arrows start, shape `(point, 2)`, or `(time, point, 2)` for other points at each time.
    - `drift`: shape `(time, point, 2)`, in the units of the data.
    - `times`: t of each column; `drift_times`: t of each panel of the drift, by default max(t, 1), for no step leads
      on from x_0.

    **Raises:** `InputError` where shapes do not fit, values are not finite, or times are equal.
    """
    times = list(times)
    check_times(times)
    num_times = len(times)
    drift_times = [max(t, 1) for t in times] if drift_times is None else drift_times
    forward = finite_array("forward", forward, (num_times, "datum", 2))
    reverse = finite_array("reverse", reverse, (num_times, "datum", 2))
    drift = finite_array("drift", drift, (num_times, "point", 2))
    if np.ndim(drift_points) == 2:
        drift_points = np.broadcast_to(drift_points, (num_times, *np.shape(drift_points)))
    drift_points = finite_array("drift_points", drift_points, drift.shape)
    finite_array("drift_times", np.asarray(drift_times), (num_times,))

    factors = [_magnification(*each) for each in zip(drift_points, drift, strict=True)]
    arrows = [arrow_lines(*each) for each in zip(drift_points, np.reshape(factors, (-1, 1, 1)) * drift, strict=True)]
    slices = xr.Dataset(
        {
            "forward": (("time", "datum", "plot_axis"), forward),
            "reverse": (("time", "sample", "plot_axis"), reverse),
            "drift": (("time", "vertex", "plot_axis"), np.stack(arrows)),
        },
        {"time": times, "plot_axis": ["x", "y"]},
    )
    size = min(FIGURE_WIDTH / num_times, LARGEST_PANEL)
    layout = {"cols": ["time"], "rows": ["__variable__"], "panel_size": (size, size)}
    collection = panels(slices, backend=backend, title=title, **layout)
    for color, name in enumerate(("forward", "reverse")):
        collection.map(visuals.scatter_xy, "draws", data=slices[[name]], color=f"C{color}", size=4, alpha=0.3, width=0)
    collection.map(visuals.line_xy, "arrows", data=slices[["drift"]], color="C2", width=0.8)

    everything = np.concatenate([part.reshape(-1, 2) for part in (forward, reverse, drift_points)])
    limits = _square_around(everything)
    for column, t in enumerate(times):
        titles = {
            "forward": f"q(x{str(t).translate(SUBSCRIPTS)})",
            "reverse": f"p(x{str(t).translate(SUBSCRIPTS)})",
            "drift": f"t = {drift_times[column]}, arrows \N{MULTIPLICATION SIGN} {factors[column]:,.10g}",
        }
        for name, text in titles.items():
            panel = collection.get_target(name, {"time": t})
            set_equal_axes(panel, *limits)
            visuals.labelled_title(None, panel, text=text, size=12)
    labels = {
        "forward": f"forward chain, {forward.shape[1]:,} draws",
        "reverse": f"reverse chain, {reverse.shape[1]:,} draws",
        "drift": f"reverse drift, {drift.shape[1]:,} arrows",
    }
    for name, text in labels.items():
        visuals.labelled_y(None, collection.get_target(name, {"time": times[0]}), text=text)
    return collection


def plot_figure_one(
    diffusion: Diffusion,
    x_0: ArrayLike,
    key: PRNGKey,
    *,
    num_points: int = 2000,
    grid_size: int = 20,
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """Figure 1 of the paper for a diffusion of the plane: `plot_slices` at t = 0, T/2 and T.

    The drift of the first column is that of the first step the network is trained for: t = 1, or t = 2 with the fixed
    edge.

    **Arguments:** `x_0`, data of shape `(datum, 2)`, of which up to `num_points` are drawn, and as many from the
    reverse chain; `grid_size`, arrows along each side of the square that holds the draws of the forward chain.

    **Raises:** `InputError` where the data of the diffusion are not points of the plane, or `x_0` does not fit.
    """
    if diffusion.event_shape != (2,):
        raise InputError(
            "diffusion", expected="event shape (2,)", got=diffusion.event_shape, remedy="the figure shows the plane"
        )
    check_sizes(num_points=num_points, grid_size=grid_size)
    x_0 = jnp.asarray(finite_array("x_0", x_0, ("datum", 2)))
    diffusion.check_data(x_0)
    times = paper_times(diffusion)
    first_trained = 1 if diffusion.edge == "learned" else 2
    drift_times = [max(t, first_trained) for t in times]

    choice_key, forward_key, reverse_key = jax.random.split(check_key(key), 3)
    x_0 = jax.random.permutation(choice_key, x_0)[:num_points]
    forward = forward_slices(diffusion, x_0, forward_key, times)
    reverse = reverse_slices(diffusion, reverse_key, len(x_0), times)
    sides = np.linspace(forward.min(axis=(0, 1)), forward.max(axis=(0, 1)), grid_size)
    grid = np.stack(np.meshgrid(*sides.T), axis=-1).reshape(-1, 2)
    drift = reverse_drift(diffusion, grid, drift_times)
    return plot_slices(
        forward, reverse, grid, drift, times=times, drift_times=drift_times, title=title, backend=backend
    )


def _magnification(points: np.ndarray, drift: np.ndarray) -> float:
    """1, 2 or 5 times a power of ten, by which most arrows reach about as far as their neighbours."""
    spacing = math.sqrt(float(np.prod(np.ptp(points, axis=0))) / len(points)) or 1.0
    length = float(np.quantile(np.linalg.norm(drift, axis=-1), DRIFT_QUANTILE))
    if length == 0:
        return 1.0
    wanted = ARROW_LENGTH * spacing / length
    power = 10.0 ** math.floor(math.log10(wanted))
    return max(digit for digit in (1, 2, 5) if digit * power <= wanted) * power


def _square_around(points: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    lowest, highest = points.min(axis=0), points.max(axis=0)
    reach = 0.53 * float((highest - lowest).max()) or 1.0
    x, y = ((float(centre) - reach, float(centre) + reach) for centre in (lowest + highest) / 2)
    return x, y
