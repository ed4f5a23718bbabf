"""Plots of binary sequences along the reverse chain: figure 2 of Sohl-Dickstein et al. (2015)."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from arviz_plots import visuals
from arviz_plots.plot_collection import PlotCollection
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_sizes, finite_array, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.analysis.chain_slices import paper_times, reverse_slices
from dpm_ppl.analysis.plots._parts.inputs import check_times
from dpm_ppl.analysis.plots._parts.panels import panels
from dpm_ppl.analysis.plots._parts.visuals import image
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel


def plot_raster(
    samples: ArrayLike,
    *,
    times: Sequence[int],
    pulse_column: int = 1,
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """Binary sequences along the reverse chain, a row each and a panel for each time, ones black.

    For each sequence one shift, the same at all times, rolls the first pulse of its last state, the first of `samples`,
    into `pulse_column` (counted from 1). A sequence that ends without a pulse is not shifted.

    **Arguments:** `samples`, bits of shape `(time, datum, bin)`, the same sequences at all times; `times`, t of each
    panel from left to right.

    **Raises:** `InputError` for another shape, anything but 0 and 1, a column that is not there, or equal times.
    """
    times = list(times)
    check_times(times)
    samples = finite_array("samples", samples, (len(times), "datum", "bin"))
    other = samples[(samples != 0) & (samples != 1)]
    if other.size:
        raise InputError("samples", expected="bits, 0 or 1", got=f"also {other[0]}", remedy="threshold the samples")
    num_sequences, num_bins = samples.shape[1:]
    about = {"expected": f"a column, 1 ... {num_bins}", "remedy": "1 is what the paper shows"}
    pulse_column = whole_number("pulse_column", pulse_column, most=num_bins, **about)

    bits = xr.Dataset(
        {"bits": (("time", "sample", "bin"), _rolled(samples, pulse_column))},
        {"time": times, "sample": np.arange(1, num_sequences + 1), "bin": np.arange(1, num_bins + 1)},
    )
    size = 270.0, min(max(8.0 * num_sequences, 200.0), 800.0) + 90
    collection = panels(bits, backend=backend, title=title, cols=["time"], col_wrap=len(times), panel_size=size)
    collection.map(image, limits=(0.0, 1.0))
    ticks = sorted({1, *range(5, num_bins + 1, 5)})
    for t in times:
        panel = collection.get_target("bits", {"time": t})
        visuals.labelled_title(None, panel, text=f"t = {t}", size=12)
        visuals.labelled_x(None, panel, text=f"bin, rolled to a pulse in {pulse_column}")
        visuals.set_xticks(None, panel, values=ticks, labels=[str(tick) for tick in ticks])
        visuals.set_xlim(None, panel, limits=(0.5, num_bins + 0.5))
        visuals.set_ylim(None, panel, limits=(num_sequences + 0.5, 0.5))
    visuals.labelled_y(None, collection.get_target("bits", {"time": times[0]}), text="sample")
    return collection


def plot_figure_two(
    diffusion: Diffusion,
    key: PRNGKey,
    *,
    num_samples: int = 60,
    title: str | None = None,
    backend: str | None = None,
) -> PlotCollection:
    """Figure 2 of the paper for a diffusion of binary sequences: `plot_raster` of draws at t = 0, T/2 and T.

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
    times = paper_times(diffusion)
    return plot_raster(reverse_slices(diffusion, key, num_samples, times), times=times, title=title, backend=backend)


def _rolled(samples: np.ndarray, pulse_column: int) -> np.ndarray:
    last = samples[0]
    shifts = np.where(last.any(axis=1), pulse_column - 1 - last.argmax(axis=1), 0)
    return np.stack([np.roll(samples[:, i], shift, axis=-1) for i, shift in enumerate(shifts)], axis=1)
