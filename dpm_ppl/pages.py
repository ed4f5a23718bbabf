"""The pages that `report` and `compare` write: tables, pictures, configuration and verdicts of runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from arviz_plots.visuals import set_ylim
from matplotlib import pyplot

from dpm_ppl import runs
from dpm_ppl.analysis.comparison import Comparison, compare_bounds
from dpm_ppl.analysis.page import PagePicture, PageSection, PageSettings, PageTerms, write_page
from dpm_ppl.analysis.plots.curves import plot_bound_per_step, plot_rungs, plot_schedule, plot_training
from dpm_ppl.analysis.plots.draws import plot_draws
from dpm_ppl.analysis.plots.weights import plot_exact_against_estimated, plot_khat_per_datum
from dpm_ppl.analysis.tree import weights_group
from dpm_ppl.bounds import entropy_bounds
from dpm_ppl.comparing import Trained
from dpm_ppl.demo import picture_of
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.estimates import Estimate
from dpm_ppl.likelihood.diagnostics import FEWEST_FOR_VERDICT, MOST_RELIABLE_KHAT
from dpm_ppl.measured import Measured
from dpm_ppl.programs import sample_from

DRAWN = {"backend": "matplotlib"}
NUM_DRAWS = {1: 400, 2: 36}
"""Draws shown of each method: of data with one axis, or two."""

FOOTER = "Made by dpm-ppl. Figures are of standardised data unless they are bits/dim."

TERMS = {
    "K": "The paper's bound: a lower bound on the log-likelihood, on average over the noise. In bits/dim an upper "
    "bound on the code length. For other methods the ELBO, or the log-likelihood itself where there are neither latent "
    "variables nor dequantisation noise.",
    "importance-weighted, S": "The log-mean of S importance weights: a lower bound on average, which rises to the "
    "log-likelihood with S.",
    "at least, at most": "Before a bound that may not have reached what it bounds: K alone, or weights that are not "
    "reliable for all data. At least for log-likelihoods, at most for code lengths in bits/dim.",
    "data, weighed": "Every figure of the tables is of all held-out data. Where only some were weighed, the others "
    "follow by what is known of both, K and the exact value.",
    "gap to exact": "What a figure lacks to the exact log-likelihood of the same data, paired datum by datum.",
    "ESS": "Effective sample size of the weights of a datum, of its draws.",
    "k-hat": f"Shape of the tail of the weights; above {MOST_RELIABLE_KHAT}, or less for few draws, more draws help "
    "little.",
    "doubtful": "Share of the data whose estimate is not reliable: weights so uneven that its standard error may not "
    f"cover, or fewer than {FEWEST_FOR_VERDICT} draws.",
    "±": "One standard error, over data.",
}


def write_run_page(path: Path, trained: Trained, measured: Measured, results: xr.DataTree) -> Comparison:
    """The report of one run, whose measurements as a tree are `results`; returns its figures."""
    pyplot.switch_backend("agg")  # a file needs no display
    name = trained.run.name
    compared = compare_bounds({name: measured})
    tables = compared.tables()
    sections = [
        PageSection("Figures", [*tables[:2]]),
        PageSection("Draws", [_picture_of_draws({name: trained})]),
        PageSection("Weights", _weights_pictures(name, measured, compared)),
        *_chain_sections(trained, results),
        PageSection("Training", _training_pictures(trained)),
        PageSection("Configuration", [_settings(trained)]),
        PageSection("Terms", [PageTerms(TERMS)]),
    ]
    _write(path, f"{name}: report", sections, compared, [trained])
    return compared


def write_comparison_page(path: Path, trained: Mapping[str, Trained], measured: Mapping[str, Measured]) -> Comparison:
    """The comparison of several runs on the same data; returns it."""
    pyplot.switch_backend("agg")
    compared = compare_bounds(measured)
    order = [one.name for one in compared.contenders]
    experiment = next(iter(trained.values())).run.experiment
    sections = [
        PageSection("Figures", compared.tables()),
        *([PageSection("Ladders", ladders)] if (ladders := _ladders(compared)) else []),
        PageSection("Draws", [_picture_of_draws({name: trained[name] for name in order})]),
        *_against_exact(order, measured),
        PageSection("Training", [block for name in order for block in _training_pictures(trained[name], name)]),
        PageSection("Configuration", [_settings(trained[name], name) for name in order]),
        PageSection("Terms", [PageTerms(TERMS)]),
    ]
    title = f"{experiment}: {len(order)} methods compared"
    _write(path, title, sections, compared, trained.values())
    return compared


def _picture_of_draws(trained: Mapping[str, Trained]) -> PagePicture:
    first = next(iter(trained.values()))
    data = first.experiment.heldout
    num_draws = NUM_DRAWS.get(len(data.event_shape), 36) if data.units.kind != "binary" else 40
    num_draws = min(num_draws, data.num_points)
    shown = {"held-out data": data.units.as_given(data.rows(np.arange(num_draws)))}
    for name, one in trained.items():
        draws = sample_from(one.method, jax.random.fold_in(jax.random.key(one.run.seed), 7), num_draws)
        shown[name] = data.units.as_given(np.asarray(draws))
    if len(data.event_shape) not in (1, 2):
        shown = {name: values.reshape(len(values), -1) for name, values in shown.items()}
    caption = f"{num_draws} held-out data, and as many draws from each method, in the units of the data."
    return PagePicture(plot_draws(shown, **DRAWN), caption, f"Held-out data beside draws of {', '.join(trained)}")


def _ladders(compared: Comparison) -> list[PagePicture]:
    """What the tables say of the rungs of all methods, as one picture; none where no method has any."""
    scale = compared.scale
    climbing = {
        one.name: {rung.num_particles: scale.figure(rung.mean) for rung in one.rungs}
        for one in compared.contenders
        if any(math.isfinite(rung.mean.mean) for rung in one.rungs)
    }
    if not climbing:
        return []
    drawn = plot_rungs(climbing, exact=compared.exact, unit=scale.unit, **DRAWN)
    caption = f"From one particle to many, in the values of the tables; {scale.better} is better."
    if limits := _limits(climbing, compared.exact, 1.0 if scale.better == "higher" else -1.0):
        set_ylim(None, drawn.get_target("bound", {}), limits=limits)
        caption += " What is far worse is cut off."
    return [PagePicture(drawn, caption, f"Bounds of {', '.join(climbing)} against the number of particles")]


def _limits(
    climbing: Mapping[str, Mapping[int, Estimate]], exact: Estimate | None, sign: float
) -> tuple[float, float] | None:
    """Limits that keep one steep ladder from flattening all others, where that is needed."""
    values = [sign * np.array([float(figure.mean) for figure in rungs.values()]) for rungs in climbing.values()]
    values = [finite for one in values if (finite := one[np.isfinite(one)]).size]
    last = [one[-1] for one in values]
    reach = max(1.0, max(last) - min(last))
    lowest = min(last) - 2 * reach
    if min(one[0] for one in values) >= lowest:
        return None
    best = max(last) if exact is None else max(*last, sign * float(exact.mean))
    low, high = sorted((float(sign * lowest), float(sign * (best + 0.2 * reach))))
    return low, high


def _against_exact(order: list[str], measured: Mapping[str, Measured]) -> list[PageSection]:
    pictures = []
    for name in order:
        pictures += _exact_picture(name, measured[name])
    return [PageSection("Against the exact value", pictures)] if pictures else []


def _exact_picture(name: str, measured: Measured) -> list[PagePicture]:
    exact = measured.scores.exact_values
    if exact is None or measured.weights is None or np.ptp(exact) < 1e-9:
        return []
    group = weights_group(measured.weights)
    drawn = plot_exact_against_estimated(group, exact[: group.sizes["datum"]], **DRAWN)
    caption = f"{name}: its estimate and the exact log-likelihood of each weighed datum."
    return [PagePicture(drawn, caption, f"Scatter of the values of {name}")]


def _weights_pictures(name: str, measured: Measured, compared: Comparison) -> list[Any]:
    if measured.weights is None or compared.contenders[0].is_exact:
        return ["All importance weights of a datum are equal: the figures are the log-likelihood itself."]
    blocks: list[Any] = [*_ladders(compared)]
    group = weights_group(measured.weights)
    if np.isfinite(group["khat"]).any():
        caption = "k-hat of each weighed datum, and the thresholds 0.7 and 1."
        blocks.append(PagePicture(plot_khat_per_datum(group, **DRAWN), caption, "k-hat of each datum"))
    return blocks + _exact_picture(name, measured)


def _chain_sections(trained: Trained, results: xr.DataTree) -> list[PageSection]:
    method, data = trained.method, trained.experiment.heldout
    if not isinstance(method, Diffusion):
        return []
    keys = jax.random.split(jax.random.fold_in(jax.random.key(trained.run.seed), 8))
    x_0 = data.draw(data.rows(np.arange(results["bound"].sizes["datum"])), keys[0])
    spent = plot_bound_per_step(results, entropy_bounds(method, x_0, keys[1]), log_y=True, **DRAWN)
    schedule = plot_schedule(method, **DRAWN)
    blocks: list[Any] = [
        PagePicture(spent, f"Where the bits go, over {len(x_0)} held-out data.", "Divergence of each step"),
        PagePicture(schedule, "Schedule and signal-to-noise.", "beta, alpha bar and log SNR against t"),
    ]
    paper = picture_of(trained.run, trained.experiment, method)
    if paper is not None:
        blocks.append(PagePicture(paper, "The chain at a few times, or its draws.", "Draws along the chain"))
    return [PageSection("The chain, step by step", blocks)]


def _training_pictures(trained: Trained, name: str = "") -> list[Any]:
    rows = runs.metrics(trained.run)
    if not rows:
        return ["The fit has not ended."]
    drawn = plot_training(rows, unit=trained.experiment.unit, **DRAWN)
    return [PagePicture(drawn, f"{name or trained.run.name}: training loss and held-out K.", "Training curves")]


def _settings(trained: Trained, name: str = "") -> PageSettings:
    run = trained.run
    values = {"experiment": run.experiment, **run.options, "seed": run.seed, "updates": f"{run.num_updates:,}"}
    values |= {"updates done": f"{runs.updates_done(run):,}", "batch size": trained.experiment.batch_size}
    values |= {"training data": f"{trained.experiment.train.num_points:,}"}
    values |= {"held-out data": f"{trained.experiment.heldout.num_points:,}"}
    values |= {"device": run.environment.get("device", "unknown")} | run.environment.get("versions", {})
    return PageSettings({key: value for key, value in values.items() if value is not None}, name or run.name)


def _write(
    path: Path, title: str, sections: Sequence[PageSection], compared: Comparison, trained: Iterable[Trained]
) -> None:
    unfinished = [f"{words}: its fit has not ended." for one in trained if (words := runs.standing(one.run))]
    write_page(path, title, sections, abstract=[*compared.verdicts(), *unfinished], footer=FOOTER)
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, PagePicture):
            pyplot.close(block.picture.get_viz("figure"))
