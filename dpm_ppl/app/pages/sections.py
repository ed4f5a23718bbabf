"""The pages that `report` and `compare` write: tables, pictures, configuration and verdicts of runs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib import pyplot

from dpm_ppl.analysis.comparison.comparison import Comparison, compare_bounds
from dpm_ppl.analysis.page.page import PagePicture, PageSection, PageTerms, write_page
from dpm_ppl.analysis.plots.chain import plot_bound_per_step, plot_entropy_bounds, plot_schedule
from dpm_ppl.analysis.plots.curves import plot_training
from dpm_ppl.analysis.plots.weights import plot_exact_against_estimated, plot_khat_per_datum, plot_weights
from dpm_ppl.analysis.tree.tree import weights_group
from dpm_ppl.app import runs
from dpm_ppl.app.evaluating import weights_one_by_one
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.app.pages.figures import DRAWN, figures_of_methods, figures_of_run, ladders
from dpm_ppl.app.pages.settings import data_name, settings
from dpm_ppl.app.pages.terms import TERMS
from dpm_ppl.app.pictures import chain_picture, draws_picture, house_style
from dpm_ppl.diffusion.bounds import entropy_bounds
from dpm_ppl.evaluation import Measured
from dpm_ppl.experiments.streams import Stream, key_of
from dpm_ppl.likelihood.diagnostics import FEWEST_FOR_VERDICT

NUM_WEIGHED = 4
"""Data whose weights are shown one by one."""
FOOTER = "Made by dpm-ppl. Figures are of standardised data unless they are bits/dim."


def write_run_page(path: Path, trained: OpenedRun, measured: Measured, results: xr.DataTree) -> Comparison:
    """The report of one run, whose measurements as a tree are `results`; returns its figures."""
    compared = compare_bounds({trained.method_name: measured})
    with house_style():
        sections = [
            PageSection(
                "How good is the fit?",
                [figures_of_run(compared, measured), *_own_units(measured), *compared.tables()[:2]],
            ),
            PageSection("Draws", [_picture_of_draws({f"draws of the {trained.method_name}": trained})]),
            PageSection("How far to trust the weights", _weights_pictures(trained, measured, compared)),
            *_chain_sections(trained, results),
            PageSection("Training", _training_pictures(trained)),
            PageSection("Configuration", [settings(trained)]),
            PageSection("Terms", [PageTerms(TERMS)]),
        ]
        _write(path, f"{data_name(trained)}: report of the {trained.method_name}", sections, compared, [trained])
    return compared


def write_comparison_page(path: Path, trained: Mapping[str, OpenedRun], measured: Mapping[str, Measured]) -> Comparison:
    """The comparison of several runs on the same data; returns it."""
    compared = compare_bounds(measured)
    order = [one.name for one in compared.entries]
    first = next(iter(trained.values()))
    with house_style():
        sections = [
            PageSection("Which method is best?", [figures_of_methods(compared), *compared.tables()]),
            *([PageSection("What more particles bring", pictures)] if (pictures := ladders(compared)) else []),
            PageSection("Draws", [_picture_of_draws({name: trained[name] for name in order})]),
            *_against_exact(order, measured),
            PageSection("Training", [block for name in order for block in _training_pictures(trained[name], name)]),
            PageSection("Configuration", [settings(trained[name], name) for name in order]),
            PageSection("Terms", [PageTerms(TERMS)]),
        ]
        title = f"{data_name(first)}: {len(order)} {'methods' if len(order) > 1 else 'method'} compared"
        _write(path, title, sections, compared, trained.values())
    return compared


def _own_units(measured: Measured) -> list[str]:
    """The bound in the units in which the data were given, where these are not bits/dim."""
    if measured.units.num_levels is not None or measured.units.kind == "binary":
        return []
    K, unit = measured.scores.K_original, measured.scores.unit
    return [
        f"The figures on this page are log-densities of standardised data. In the units in which the data were given, "
        f"K is {K.format(unit)}: to scale the columns moves all figures alike."
    ]


def _picture_of_draws(trained: Mapping[str, OpenedRun]) -> PagePicture:
    heldout = next(iter(trained.values())).experiment.task.heldout
    drawn = draws_picture({name: (one.run, one.method) for name, one in trained.items()}, heldout)
    caption = "Held-out data beside draws, in the units of the data."
    columns = heldout.units.columns
    if "scatter" in drawn.viz.data_vars:  # a pair plot
        shown, num = drawn.viz["plot"].sizes["row_index"], heldout.units.num_coordinates
        caption += " On the diagonal the share of the data in each bin."
        if shown < num:
            caption += f" Of {num} {'columns' if columns else 'coordinates'} the first {shown} that vary are shown."
    return PagePicture(drawn, caption, f"Held-out data beside {', '.join(trained)}")


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
    caption = f"{name}: the estimate and the exact log-likelihood of each datum; on the line the two agree."
    return [PagePicture(drawn, caption, f"Scatter of the values of {name}")]


def _weights_pictures(trained: OpenedRun, measured: Measured, compared: Comparison) -> list[Any]:
    if measured.weights is None or compared.entries[0].is_exact:
        return ["All importance weights of a datum are equal: the figures are the log-likelihood itself."]
    blocks: list[Any] = [*ladders(compared)]
    group = weights_group(measured.weights)
    if np.isfinite(group["khat"]).any():
        caption = "k-hat of each datum; the lower line is the most that so many draws allow, the upper one 1."
        blocks.append(PagePicture(plot_khat_per_datum(group, **DRAWN), caption, "k-hat of each datum"))
    return [*blocks, *_histogram(trained, group), *_exact_picture(trained.run.name, measured)]


def _histogram(trained: OpenedRun, group: xr.Dataset) -> list[PagePicture]:
    """The weights of the first data, drawn once more; none where there are so few draws that they say nothing."""
    if int(group["num_draws"].max()) < FEWEST_FOR_VERDICT:
        return []
    num_particles = int(group["num_draws"].max()) * group.attrs["particles_per_draw"]
    num_points = min(NUM_WEIGHED, group.sizes["datum"])
    few = weights_one_by_one(trained, num_particles, num_points)
    if few.log_weights is None or not np.isfinite(few.log_weights).any():
        return []
    drawn = plot_weights(weights_group(few), kind="histogram", num_bins=30, **DRAWN)
    caption = "The weights of a few data. What lies far to the right carries the estimate of a datum."
    return [PagePicture(drawn, caption, "Histogram of log-weights")]


def _chain_sections(trained: OpenedRun, results: xr.DataTree) -> list[PageSection]:
    diffusion, data = trained.method.chain, trained.experiment.task.heldout
    if diffusion is None:
        return []
    keys = jax.random.split(key_of(trained.run.seed, Stream.ENTROPY))
    x_0 = data.draw(data.rows(np.arange(results["bound"].sizes["datum"])), keys[0])
    spent = plot_bound_per_step(results, log_y=True, **DRAWN)
    entropy = plot_entropy_bounds(entropy_bounds(diffusion, x_0, keys[1]), **DRAWN)
    blocks: list[Any] = [
        PagePicture(spent, f"Which steps cost the bits, over {len(x_0)} held-out data.", "Divergence of each step"),
        PagePicture(entropy, "What each step leaves open lies between these bounds.", "Entropy bounds of each step"),
        PagePicture(plot_schedule(diffusion, **DRAWN), "The schedule.", "beta, alpha bar and log SNR against t"),
    ]
    paper = chain_picture(trained.run, trained.experiment, diffusion)
    if paper is not None:
        blocks.append(PagePicture(paper, "The chain at a few times.", "Draws along the chain"))
    return [PageSection("The chain, step by step", blocks)]


def _training_pictures(trained: OpenedRun, name: str = "") -> list[Any]:
    rows = runs.metrics(trained.run)
    if not any(row.get("loss") is not None or row.get("K") is not None for row in rows):
        return ["The fit has not ended."]
    task, most = trained.experiment.task, runs.HELDOUT_POINTS
    drawn = plot_training(rows, unit=task.unit, **DRAWN)
    of = "held-out data"
    if task.validation is not None:
        of, most = "the data that parameters are chosen by", task.num_validated
    caption = f"{name or trained.run.name}: training loss, and K of the first of {of}, at most {most}."
    return [PagePicture(drawn, caption, "Training curves")]


def _write(
    path: Path, title: str, sections: Sequence[PageSection], compared: Comparison, trained: Iterable[OpenedRun]
) -> None:
    unfinished = [f"{words}: its fit has not ended." for one in trained if (words := one.standing)]
    write_page(path, title, sections, abstract=[*compared.verdicts(), *unfinished], footer=FOOTER)
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, PagePicture):
            pyplot.close(block.picture.get_viz("figure"))
