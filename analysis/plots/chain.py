"""Plots along the chain of a diffusion: cost of each step, bounds of the reverse entropy, the schedule."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from arviz_plots.plot_collection import PlotCollection

from dpm_ppl._common.checks import check_some
from dpm_ppl.analysis.plots._parts.axes import label_axes
from dpm_ppl.analysis.plots._parts.inputs import Group, bits_or_nats, group, left_out
from dpm_ppl.analysis.plots._parts.members import band, curves, draw, line
from dpm_ppl.analysis.plots._parts.panels import legend, panels
from dpm_ppl.diffusion.bounds import EntropyBounds
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.estimates.standard_errors import Estimate, estimate


def plot_bound_per_step(
    bound: Group,
    *,
    unit: str = "bits",
    log_x: bool = False,
    log_y: bool = False,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """Where the nats go: what each step t costs the bound K, and the share of the steps up to t in the cost of all.

    The panels are `divergence`, the mean over data of E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), and `share`, its
    sum up to t over its sum. Bands are one standard error over data either way.

    **Arguments:** `bound`, a group by `bound_group`, or a tree that has it; `unit`, `bits` or `nats`; `log_x`, `log_y`
    make the axis of t, and that of the divergences, logarithmic. For the others see `plot_ladder`.

    **Raises:** `InputError` where a group has no step divergences.
    """
    factor = bits_or_nats(unit)
    divergences = group(bound, "bound", "step_divergences")["step_divergences"].transpose("datum", "step")
    t = divergences["step"].values
    collection = panels(["divergence", "share"], backend, plot_collection, figure_kwargs, title, col_wrap=2)
    costs = divergences.values.astype(np.float64)
    known = np.isfinite(costs).all(axis=1)
    costs = costs[known] if known.any() else costs
    for panel, figure in (("divergence", estimate(costs) * factor), ("share", _cumulative_share(costs))):
        curve = curves({"KL of a step": (t, figure.mean, figure.se)})
        draw(collection, band, panel, curve)
        draw(collection, line, panel, curve)
    x_label = f"step t{left_out(known)}"
    label_axes(collection, "divergence", x=x_label, y=f"cost of step t in K ({unit})", log_x=log_x, log_y=log_y)
    label_axes(collection, "share", x=x_label, y="share of steps 2 to t in all cost", log_x=log_x)
    return collection


def plot_entropy_bounds(
    entropy: EntropyBounds,
    *,
    unit: str = "bits",
    log_x: bool = False,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """Between which bounds H_q(X^{t-1} | X^t) lies, what one reverse step can leave open (paper, eq. 24 and 36).

    The panel is called `entropy`.

    **Arguments:** `entropy`, by `diffusion.entropy_bounds`; `unit`, `bits` or `nats`; `log_x` makes the axis of t
    logarithmic. For the others see `plot_ladder`.
    """
    factor = bits_or_nats(unit)
    lower, upper = (np.asarray(side, np.float64) * factor for side in (entropy.lower, entropy.upper))
    lower = np.where(np.isfinite(lower), lower, np.nan)  # -inf at t = 1 for continuous data
    t = np.arange(1, len(lower) + 1)
    collection = panels(["entropy"], backend, plot_collection, figure_kwargs, title)
    between = curves({"between": (t, (lower + upper) / 2, (upper - lower) / 2)})
    draw(collection, band, "entropy", between, label="between", color="B3")
    draw(collection, line, "entropy", curves({"upper bound": (t, upper), "lower bound": (t, lower)}))
    label_axes(collection, "entropy", x="step t", y=f"entropy of step t given the next ({unit})", log_x=log_x)
    legend(collection, plot_collection)
    return collection


def plot_schedule(
    diffusions: Diffusion | Mapping[str, Diffusion],
    *,
    log_x: bool = False,
    backend: str | None = None,
    plot_collection: PlotCollection | None = None,
    figure_kwargs: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> PlotCollection:
    """The schedule: beta_t, alpha_bar_t = prod_{s <= t} (1 - beta_s) and log-SNR in nats, each in a panel against t.

    **Arguments:** `diffusions`, one, or several by name. For the others see `plot_ladder`.

    **Raises:** `InputError` where there is no diffusion.
    """
    if not isinstance(diffusions, Mapping):
        diffusions = {"schedule": diffusions}
    check_some("diffusions", diffusions, expected="at least one diffusion", remedy="pass them by name")
    labels = {
        "beta": "noise rate of step t, βₜ",
        "alpha_bar": "share of signal left, ᾱₜ",
        "log_snr": "log signal-to-noise ratio (nats)",
    }
    collection = panels(list(labels), backend, plot_collection, figure_kwargs, title, col_wrap=3)
    steps = {name: diffusion.steps for name, diffusion in diffusions.items()}
    for panel, label in labels.items():
        draw(collection, line, panel, curves({name: (step.t, getattr(step, panel)) for name, step in steps.items()}))
        label_axes(collection, panel, x="step t", y=label, log_x=log_x, log_y=panel == "beta")
    if len(steps) > 1:
        legend(collection, plot_collection)
    return collection


def _cumulative_share(costs: np.ndarray) -> Estimate:
    """Sum up to t over the sum of all, of costs `(datum, step)`: a ratio of means, its error by the delta method."""
    sums = costs.cumsum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # nothing to share out where nothing costs anything
        total = sums[:, -1:].mean()
        share = sums.mean(axis=0) / total
        return Estimate(share, estimate((sums - share * sums[:, -1:]) / total).se, len(costs))
