"""What `dpm-ppl posterior` writes: the tree, the picture, and the page that shows them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib import pyplot

from dpm_ppl._common.files import make_folder, replacing
from dpm_ppl.analysis.page.page import PagePicture, PageSection, PageSettings, PageTerms, check_page, write_page
from dpm_ppl.analysis.plots.posterior import MOST_OBSERVATIONS, plot_posterior
from dpm_ppl.analysis.posteriors.conditioned import conditioned_tree
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.analysis.tree.files import check_store, save
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.app.pages.settings import data_name, network_of
from dpm_ppl.app.pages.writing import check_target
from dpm_ppl.app.pictures import house_style
from dpm_ppl.app.posteriors.conditioning import condition_run
from dpm_ppl.app.posteriors.observing import Noise
from dpm_ppl.likelihood.diagnostics import RELIABLE
from dpm_ppl.posterior import AbstractConditioning, Posterior
from dpm_ppl.posterior.methods.base import APPROXIMATE

TREE, PICTURE, PAGE = "posterior.nc", "pictures/posterior.png", "posterior.html"
UNFINISHED = "unfinished"
"""The folder of the posteriors that are done while others are not."""
TERMS = {
    "log evidence": "The logarithm of the density that the trained model gives to what was observed, in nats and in "
    "the units of the data. Of two observations, or two likelihoods, the model prefers the one with more.",
    "effective draws": "So many draws of equal weight would be worth as much as these.",
    "reliable": "The draws are many, and the evidence is known to within 30 %.",
    "doubtful, unusable": "The draws stem from few particles, or agree badly: take more of them, or another method.",
    "approximate": "The method is biased however long it runs.",
    "±": "One standard error.",
}
FOOTER = "Made by dpm-ppl. All values are in the units of the data."


@dataclass(frozen=True)
class Conditioned:
    """A run, what was observed of it, and how it is to be conditioned."""

    trained: OpenedRun
    file: Path
    observed: np.ndarray
    noise: Noise
    method: AbstractConditioning
    num_draws: int | None
    seed: int

    @cached_property
    def settings(self) -> dict[str, Any]:
        """By name, in an order that suits a reader."""
        run = self.trained.run
        numbers = {name: value for name, value in vars(self.method).items() if isinstance(value, int | float)}
        values = {
            "run": str(run.path),
            "experiment": run.experiment,
            "network": network_of(self.trained),
            "updates done": self.trained.num_updates_done,
            "observations": str(self.file),
            "likelihood": self.noise.likelihood,
            "sigma": self.noise.sigma,
            "rate": self.noise.rate,
            "method": self.method.name,
            **{name.replace("_", " "): value for name, value in numbers.items()},
            "num draws": self.num_draws,
            "steps of the chain": self.trained.num_steps,
            "seed": self.seed,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Written:
    """The posteriors that were found, the settings behind them, and where they have been written, by kind."""

    posteriors: list[Posterior]
    asked: Conditioned
    files: dict[str, Path]

    @property
    def interrupted(self) -> bool:
        """Whether there are observations without a posterior."""
        return len(self.posteriors) < len(self.asked.observed)

    def table(self) -> TextTable:
        """A row for each observation."""
        rows = []
        for number, one in enumerate(self.posteriors):
            evidence = "" if one.log_evidence is None else one.log_evidence.plus_minus()
            rows.append([f"{number}", evidence, f"{one.ess:,.0f}", f"{len(one.draws):,}", one.verdict])
        headings = ["observation", "log evidence, nats", "effective draws", "draws", "verdict"]
        return TextTable(f"Posteriors by {self.asked.method.name}", headings, rows, align="lrrrl")

    def doubts(self) -> list[str]:
        """What is not reliable, in words; and what to change, each advice once."""
        doubtful = {}
        for number, one in enumerate(self.posteriors):
            if one.verdict != RELIABLE:
                doubtful.setdefault(one.verdict, []).append(number)
        lines = [
            f"NOT RELIABLE: {len(numbers)} of {len(self.posteriors)} posteriors {verdict} (observation "
            f"{', '.join(map(str, numbers[:5]))}{' ...' if len(numbers) > 5 else ''})"
            for verdict, numbers in doubtful.items()
        ]
        if APPROXIMATE in doubtful:
            name = self.asked.method.name
            lines.append(f"{name} is biased however long it runs: smc and gibbs are right as they go on")
        return lines + list(dict.fromkeys(notice for one in self.posteriors for notice in one.notices))[:5]


def check_folder(folder: Path) -> Path:
    """The folder, made.

    **Raises:** `InputError` where nothing can be written there, or a package for page or tree is missing.
    """
    check_page()
    check_store(folder / TREE)
    make_folder((folder / PICTURE).parent, "--out")
    for name in (TREE, PICTURE, PAGE):
        check_target(folder / name)
    return folder


def write_posteriors(asked: Conditioned, folder: Path) -> Written:
    """Condition on every observation, and write what comes of it; after Ctrl-C, of those that are done.

    These are kept, and the same call goes on with the others.

    **Raises:** `InputError`, before anything is computed, where the method cannot work with an observation.
    """
    found, kept = condition_run(
        asked.trained, asked.observed, asked.noise, asked.method, asked.seed, folder / UNFINISHED
    )
    files = {name: folder / file for name, file in (("tree", TREE), ("picture", PICTURE), ("page", PAGE))}
    written = Written(found, asked, files)
    key = jax.random.fold_in(jax.random.key(asked.seed), len(asked.observed))
    attrs = {name.replace(" ", "_"): value for name, value in asked.settings.items()}
    tree = conditioned_tree(found, key=key, num_draws=asked.num_draws, attrs=attrs)
    save(tree, files["tree"], replace=True)
    _write_picture(asked, tree, files["picture"])
    _write_page(written)
    if not written.interrupted:
        kept.remove()
    return written


def _write_picture(asked: Conditioned, tree: xr.DataTree, target: Path) -> None:
    units = asked.trained.experiment.task.heldout.units
    draws = np.asarray(tree["posterior"]["x_0"].isel(chain=0).values)
    observed = np.asarray(tree["observed_data"]["y"].values)
    columns = None if units.columns is None else [column.name for column in units.columns]
    with house_style():
        drawn = plot_posterior(observed, np.moveaxis(draws, 1, 0), columns=columns, backend="matplotlib")
        figure = drawn.viz["figure"].item()
        with replacing(target) as file:
            figure.savefig(file, format="png", dpi=150)
    pyplot.close(figure)


def _write_page(written: Written) -> None:
    asked, num = written.asked, len(written.posteriors)
    doubts = written.doubts()
    shown = f"the first {MOST_OBSERVATIONS} of {num} observations" if num > MOST_OBSERVATIONS else "every observation"
    caption = f"What was observed, and what follows from it, for {shown}. Unobserved places are blue, or have no mark."
    picture = PagePicture(written.files["picture"].read_bytes(), caption, "Observations beside posterior draws")
    unfinished = [f"Interrupted: {num} of {len(asked.observed)} observations."] if written.interrupted else []
    standing = [f"{words}: its fit has not ended."] if (words := asked.trained.standing) else []
    verdict = doubts or [f"{'The posterior is' if num == 1 else f'All {num} posteriors are'} reliable."]
    write_page(
        written.files["page"],
        f"{data_name(asked.trained)}: posterior by {asked.method.name}",
        [
            PageSection("What follows from the observations", [picture, written.table()]),
            PageSection("Settings", [PageSettings(asked.settings)]),
            PageSection("Terms", [PageTerms(TERMS)]),
        ],
        abstract=[*verdict, *unfinished, *standing],
        footer=FOOTER,
    )
