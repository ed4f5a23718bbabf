"""Pictures of samples, chains and training: arrays in, a Matplotlib `Figure` out, no state of pyplot touched.

`sample_grid`, `chain_slices`, `raster` and `training_curve` show what they are given. `figure_one` and `figure_two`
first draw from a diffusion, and lay the draws out as figures 1 and 2 of Sohl-Dickstein et al. (2015).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dpm_ppl._errors import InputError
from dpm_ppl._types import PRNGKey
from dpm_ppl.chains import sample_path
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel
from dpm_ppl.networks.base import check_sizes

_TILE_GAP = 0.1  # between images of a grid, in widths of one
_DRIFT_QUANTILE = 0.95  # this share of a panel's arrows is no longer than ...
_ARROW_LENGTH = 1.5  # ... so many times the distance between neighbours


def sample_grid(
    images: ArrayLike,
    *,
    num_columns: int | None = None,
    limits: tuple[float, float] | None = None,
    cmap: str = "gray_r",
    title: str | None = None,
) -> Figure:
    """Grey images side by side, row by row, all on one scale of greys.

    **Arguments:** `images`, shape `(num_images, height, width)`, levels or real numbers; `num_columns`, by default a
    grid as near to a square as can be; `limits`, the values at the two ends of the scale, by default the smallest and
    the largest of all; `cmap`, `"gray_r"` for dark on light as suits digits, `"gray"` for photographs.

    **Raises:** `InputError` for another shape, or values that are not finite numbers.
    """
    images = _checked("images", images, ("num_images", "height", "width"))
    num_images, height, width = images.shape
    num_columns = math.ceil(math.sqrt(num_images)) if num_columns is None else num_columns
    check_sizes(num_columns=num_columns)
    num_columns = min(num_columns, num_images)
    num_rows = math.ceil(num_images / num_columns)
    lowest, highest = (images.min(), images.max()) if limits is None else limits

    gap = _TILE_GAP * width
    extent = num_columns * (width + gap) - gap, num_rows * (height + gap) - gap
    figure = Figure(figsize=(6.0, 6.0 * extent[1] / extent[0] + 0.4 * (title is not None)), layout="constrained")
    axes = figure.subplots()
    for i, image in enumerate(images):
        left, top = i % num_columns * (width + gap), i // num_columns * (height + gap)
        axes.imshow(image, cmap=cmap, vmin=lowest, vmax=highest, extent=(left, left + width, top + height, top))
    axes.set(xlim=(0, extent[0]), ylim=(extent[1], 0), aspect="equal")
    axes.set_axis_off()
    figure.suptitle(title or "")
    return figure


def chain_slices(
    forward: ArrayLike,
    reverse: ArrayLike,
    drift_points: ArrayLike,
    drift: ArrayLike,
    *,
    times: Sequence[int],
    drift_times: Sequence[int] | None = None,
    title: str | None = None,
) -> Figure:
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

    **Raises:** `InputError` where shapes do not fit, or values are not finite.
    """
    num_times = len(times)
    drift_times = [max(t, 1) for t in times] if drift_times is None else drift_times
    forward = _checked("forward", forward, (num_times, "datum", 2))
    reverse = _checked("reverse", reverse, (num_times, "datum", 2))
    drift = _checked("drift", drift, (num_times, "point", 2))
    if np.ndim(drift_points) == 2:
        drift_points = np.broadcast_to(drift_points, (num_times, *np.shape(drift_points)))
    drift_points = _checked("drift_points", drift_points, drift.shape)
    _checked("drift_times", np.asarray(drift_times), (num_times,))

    figure = Figure(figsize=(2.5 * num_times + 0.6, 8.2), layout="constrained")
    panels = figure.subplots(3, num_times, sharex=True, sharey=True, squeeze=False)
    for column, t in enumerate(times):
        for row, (points, letter) in enumerate(((forward, "q"), (reverse, "p"))):
            panels[row, column].scatter(*points[column].T, s=4, alpha=0.3, linewidths=0, color=f"C{row}")
            panels[row, column].set_title(f"${letter}(x_{{{t}}})$", fontsize="medium")
        factor = _arrows(panels[2, column], drift_points[column], drift[column])
        panels[2, column].set_title(rf"$t = {drift_times[column]}$, arrows $\times$ {factor:,.10g}", fontsize="medium")
    for row, label in enumerate(("forward chain", "reverse chain", r"drift $f_\mu(x_t, t) - x_t$")):
        panels[row, 0].set_ylabel(label)
    everything = np.concatenate([part.reshape(-1, 2) for part in (forward, reverse, drift_points)])
    lowest, highest = everything.min(axis=0), everything.max(axis=0)
    centre, reach = (lowest + highest) / 2, 0.53 * float((highest - lowest).max()) or 1.0
    for axes in panels.flat:
        axes.set(xlim=centre[0] + np.array([-reach, reach]), ylim=centre[1] + np.array([-reach, reach]), aspect="equal")
    counts = (f"{forward.shape[1]:,} forward and {reverse.shape[1]:,} reverse draws", f"{drift.shape[1]:,} arrows")
    figure.supxlabel(", ".join(counts), fontsize="small")
    figure.suptitle(title or "")
    return figure


def raster(samples: ArrayLike, *, times: Sequence[int], pulse_column: int = 1, title: str | None = None) -> Figure:
    """Binary sequences along the reverse chain, a row each: figure 2 of the paper, ones black.

    For each sequence one shift, the same at all times, rolls the first pulse of its last state, the first of `samples`,
    into `pulse_column` (counted from 1). A sequence that ends without a pulse is not shifted.

    **Arguments:** `samples`, bits of shape `(time, datum, bin)`, the same sequences at all times; `times`, t of each
    panel from left to right.

    **Raises:** `InputError` for another shape, anything but 0 and 1, or a column that is not there.
    """
    samples = _checked("samples", samples, (len(times), "datum", "bin"))
    other = samples[(samples != 0) & (samples != 1)]
    if other.size:
        raise InputError("samples", expected="bits, 0 or 1", got=f"also {other[0]}", remedy="threshold the samples")
    num_sequences, num_bins = samples.shape[1:]
    if not 1 <= pulse_column <= num_bins:
        raise InputError(
            "pulse_column", expected=f"a column, 1 ... {num_bins}", got=pulse_column, remedy="1 is what the paper shows"
        )
    last = samples[0]
    shifts = np.where(last.any(axis=1), pulse_column - 1 - last.argmax(axis=1), 0)
    rolled = np.stack([np.roll(samples[:, i], shift, axis=-1) for i, shift in enumerate(shifts)], axis=1)

    height = min(max(0.08 * num_sequences, 2.0), 8.0) + 0.9
    figure = Figure(figsize=(2.5 * len(times) + 0.6, height), layout="constrained")
    panels = figure.subplots(1, len(times), sharex=True, sharey=True, squeeze=False)[0]
    for axes, t, bits in zip(panels, times, rolled, strict=True):
        edges = (0.5, num_bins + 0.5, num_sequences + 0.5, 0.5)
        axes.imshow(bits, cmap="gray_r", vmin=0, vmax=1, extent=edges, aspect="auto", interpolation="nearest")
        axes.set(title=f"$t = {t}$", xticks=sorted({1, *range(5, num_bins + 1, 5)}))
    panels[0].set_ylabel("sample")
    figure.supxlabel(f"bin, rolled so that a pulse at t = {times[0]} is in column {pulse_column}", fontsize="small")
    figure.suptitle(title or "")
    return figure


def training_curve(rows: Sequence[Mapping[str, Any]], *, unit: str) -> Figure:
    """Training loss and, below it, held-out K with one standard error either way, against updates.

    **Arguments:** `rows`, the metrics of a fit: `update`, and any of `loss`, `K` and `K_se`; what a row lacks is left
    out, and so is a panel of which no row has anything. `unit` is that of loss and K.

    **Raises:** `InputError` where a row has no `update`, or no row has `loss` or `K`.
    """
    if not all("update" in row for row in rows):
        raise InputError("rows", expected="`update` in every row", got="a row without", remedy="pass FitResult.metrics")
    names = [name for name in ("loss", "K") if any(row.get(name) is not None for row in rows)]
    if not names:
        raise InputError(
            "rows", expected="`loss` or `K` in some row", got=f"{len(rows)} rows with neither", remedy="fit first"
        )
    figure = Figure(figsize=(6.0, 0.6 + 2.2 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        shown = [row for row in rows if row.get(name) is not None]
        updates, values = ([row[key] for row in shown] for key in ("update", name))
        if name == "loss":
            axes.plot(updates, values, color="C0", marker=".")
            axes.set_ylabel(f"training loss ({unit})")
        else:
            errors = [row.get("K_se") or 0.0 for row in shown]
            axes.errorbar(updates, values, yerr=errors, color="C1", marker=".", capsize=2)
            axes.set_ylabel(f"held-out K ± 1 s.e. ({unit})")
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("updates")
    return figure


def figure_one(
    diffusion: Diffusion,
    x_0: ArrayLike,
    key: PRNGKey,
    *,
    num_points: int = 2000,
    grid_size: int = 20,
    title: str | None = None,
) -> Figure:
    """Figure 1 of the paper for a diffusion of the plane: `chain_slices` at t = 0, T/2 and T.

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
    x_0 = jnp.asarray(_checked("x_0", x_0, ("datum", 2)))
    diffusion.check_data(x_0)
    times = _three_times(diffusion)
    first_trained = 1 if diffusion.edge == "learned" else 2
    drift_times = [max(t, first_trained) for t in times]

    choice_key, forward_key, reverse_key = jax.random.split(key, 3)
    x_0 = jax.random.permutation(choice_key, x_0)[:num_points]
    forward = np.stack([_forward_slice(diffusion, x_0, forward_key, t) for t in times])
    reverse = _reverse_slices(diffusion, reverse_key, len(x_0), times)
    sides = np.linspace(forward.min(axis=(0, 1)), forward.max(axis=(0, 1)), grid_size)
    grid = np.stack(np.meshgrid(*sides.T), axis=-1).reshape(-1, 2)
    drift = np.stack([_drift(diffusion, grid, t) for t in drift_times])
    return chain_slices(forward, reverse, grid, drift, times=times, drift_times=drift_times, title=title)


def figure_two(diffusion: Diffusion, key: PRNGKey, *, num_samples: int = 60, title: str | None = None) -> Figure:
    """Figure 2 of the paper for a diffusion of binary sequences: `raster` of draws at t = 0, T/2 and T.

    **Raises:** `InputError` where the diffusion is not one of bits along one axis.
    """
    if not isinstance(diffusion.kernel, BernoulliKernel) or diffusion.event_dim != 1:
        raise InputError(
            "diffusion",
            expected="a BernoulliKernel and one axis of bins",
            got=f"{type(diffusion.kernel).__name__} and event shape {diffusion.event_shape}",
            remedy="the figure shows binary sequences",
        )
    check_sizes(num_samples=num_samples)
    times = _three_times(diffusion)
    return raster(_reverse_slices(diffusion, key, num_samples, times), times=times, title=title)


def _checked(argument: str, values: ArrayLike, shape: tuple[int | str, ...]) -> np.ndarray:
    """The array of finite numbers that `values` must be; a word in `shape` stands for any size but 0."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        got = f"dtype {array.dtype}" if array.dtype.kind not in "biuf" else "NaN or infinity"
        raise InputError(argument, expected="finite real numbers", got=got, remedy="convert, or drop these entries")
    fits = len(shape) == array.ndim and all(
        size > 0 if isinstance(wanted, str) else size == wanted for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        expected = f"shape ({', '.join(map(str, shape))})"
        raise InputError(argument, expected=expected, got=f"shape {array.shape}", remedy="reshape or select")
    return array


def _arrows(axes: Axes, points: np.ndarray, drift: np.ndarray) -> float:
    """Draws the drift magnified by 1, 2 or 5 times a power of ten; returns the factor."""
    spacing = math.sqrt(float(np.prod(np.ptp(points, axis=0))) / len(points)) or 1.0
    length = float(np.quantile(np.linalg.norm(drift, axis=-1), _DRIFT_QUANTILE))
    factor = _round_down(_ARROW_LENGTH * spacing / length) if length > 0 else 1.0
    axes.quiver(
        *points.T, *drift.T, angles="xy", scale_units="xy", scale=1 / factor, color="C2", width=0.006, headwidth=4
    )
    return factor


def _round_down(number: float) -> float:
    power = 10.0 ** math.floor(math.log10(number))
    return max(digit for digit in (1, 2, 5) if digit * power <= number) * power


def _three_times(diffusion: Diffusion) -> list[int]:
    return [0, diffusion.num_steps // 2, diffusion.num_steps]


def _drift(diffusion: Diffusion, points: np.ndarray, t: int) -> np.ndarray:
    """Mean of p(x_{t-1} | x_t) less x_t, at `points`."""
    # Early steps move a point by less than the rounding of float32.
    with jax.enable_x64(True):
        x_t = jnp.asarray(points, float)
        return np.asarray(diffusion.reverse(x_t, diffusion.steps[t - 1]).mean - x_t)


def _forward_slice(diffusion: Diffusion, x_0: jax.Array, key: PRNGKey, t: int) -> np.ndarray:
    """Draws from q(x_t | x_0), one for each datum."""
    if t == 0:
        return np.asarray(x_0)
    return np.asarray(diffusion.marginal(x_0, diffusion.steps[t - 1]).sample(jax.random.fold_in(key, t)))


def _reverse_slices(diffusion: Diffusion, key: PRNGKey, num_samples: int, times: Sequence[int]) -> np.ndarray:
    """Draws from the reverse chain, the same trajectories at all times; those at t = 0 are those of `chains.sample`."""
    path = sample_path(diffusion, key, (num_samples,))
    x_0 = diffusion.edge_law(path[0]).sample(jax.random.fold_in(key, 0))
    return np.stack([np.asarray(x_0 if t == 0 else path[t - 1]) for t in times])
