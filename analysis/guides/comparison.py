"""Guides of one model side by side: what each says of the evidence, how far to trust it, how far its draws are off.

`compare_guides` fits them one after the other by the same budget. Its result prints as a table in a terminal and in a
notebook; the trees that it makes are ArviZ's, for `az.loo`, `az.compare`, `plot_forest` and `plot_pair`.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
import xarray as xr
from numpyro.infer.autoguide import AutoGuide

from dpm_ppl._common.checks import check_key, check_sizes, check_some, named, one_of
from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl._common.wording import short_repr
from dpm_ppl.analysis.guides import tables
from dpm_ppl.analysis.guides.nuts import nuts_draws
from dpm_ppl.analysis.guides.tree import evidence_tree
from dpm_ppl.analysis.posteriors.comparison import compare_posteriors
from dpm_ppl.analysis.posteriors.distances import Distance, sliced_wasserstein
from dpm_ppl.analysis.text_table import WIDTH, TextTable
from dpm_ppl.estimates.standard_errors import Estimate, is_above
from dpm_ppl.guides import Evidence, FitSettings, GuideFit, evidence, fit_guide

if TYPE_CHECKING:
    import pandas as pd

MOST_ERRORS = 3.0
"""Standard errors from the true log evidence from which on a bound is too high, and importance weights too low."""
TOLD = 2.0
"""Standard errors that tell which of two bounds is the higher."""
RESAMPLED = ", resampled"


@dataclass(frozen=True, eq=False)
class GuideEntry:
    """One guide of a comparison.

    - `fit`, `found`: how it was fitted, and its evidence; None where that failed, and `failure` says why.
    - `seconds`: of fitting it, compilation included.
    - `distance`, `resampled_distance`: of its draws, and of those resampled by PSIS-smoothed weights, to the reference:
      sliced W2 in standard deviations of the posterior; None without one.
    - `gap`: the true log evidence less the ELBO, and `shortfall` less the importance-weighted log evidence, where the
      former is known.
    """

    __repr__ = short_repr

    name: str
    fit: GuideFit | None = None
    found: Evidence | None = None
    seconds: float = 0.0
    distance: Distance | None = None
    resampled_distance: Distance | None = None
    gap: Estimate | None = None
    shortfall: Estimate | None = None
    failure: str = ""


@dataclass(frozen=True, eq=False)
class GuideComparison:
    """Guides of one model, the highest ELBO first, those that failed last; see `compare_guides`.

    `reference` says in words what the distances are to, and is empty where there is none.
    """

    __repr__ = short_repr

    entries: tuple[GuideEntry, ...]
    log_evidence: Estimate | None
    reference: str

    @property
    def ranks(self) -> list[tuple[int, int]]:
        """First and last place by ELBO of each, as far as `TOLD` standard errors of the difference tell."""
        places = range(len(self.entries))
        better = [sum(self._is_better(j, i) for j in places) for i in places]
        worse = [sum(self._is_better(i, j) for j in places) for i in places]
        return [(1 + above, len(places) - below) for above, below in zip(better, worse, strict=True)]

    def _is_better(self, j: int, i: int) -> bool:
        one, other = (self.entries[place].found for place in (j, i))
        if one is None or other is None:
            return one is not None and other is None
        apart = Estimate(
            float(one.elbo.mean - other.elbo.mean), float(np.hypot(one.elbo.se, other.elbo.se)), one.num_particles
        )
        return is_above(apart, TOLD)

    def trees(self, *, key: PRNGKey | None = None, num_draws: int = 1000) -> dict[str, xr.DataTree]:
        """ArviZ's trees of the guides that were fitted, by name; see `evidence_tree`."""
        return {
            one.name: evidence_tree(one.found, key=key, num_draws=num_draws, attrs={"guide": one.name})
            for one in self.entries
            if one.found is not None
        }

    def to_dataframe(self) -> "pd.DataFrame":
        """One row for each guide, numbers in columns."""
        return tables.data_frame(self.entries, self.ranks)

    def as_json(self) -> dict[str, Any]:
        """One object: all figures by guide, null for what is not known."""
        return tables.as_json(self.entries, self.ranks, self.log_evidence, self.reference)

    def table(self) -> TextTable:
        """The guides in order, with their figures; nats."""
        return tables.figures_table(self.entries, self.ranks, self.log_evidence, self.reference)

    def verdicts(self) -> list[str]:
        """What to think of each guide, in words."""
        return tables.verdicts(self.entries, self.reference, MOST_ERRORS)

    def write_page(self, path: Any, title: str = "Guides side by side") -> None:
        """The table and the verdicts as one HTML page; see `dpm_ppl.analysis.page`."""
        from dpm_ppl.analysis.page import PageSection, write_page

        write_page(path, title, [PageSection("Guides", [self.table(), *self.verdicts()])])

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        return Group(self.table().rich(), *map(Text, self.verdicts()))

    def __str__(self) -> str:
        lines = (fill(line, WIDTH, break_on_hyphens=False) for line in self.verdicts())
        return "\n".join([self.table().to_text(), *lines])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{escape(line)}</li>" for line in self.verdicts())
        return f"{self.table()._repr_html_()}<ul>{lines}</ul>"


def compare_guides(
    model: Callable[..., Any],
    guides: Mapping[str, AutoGuide],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    key: PRNGKey,
    reference: Literal["nuts"] | Mapping[str, Any] | None = None,
    log_evidence: Estimate | float | None = None,
    settings: FitSettings | None = None,
    num_particles: int = 20_000,
    num_compared: int = 1000,
    on_entry: Callable[[GuideEntry], None] | None = None,
) -> GuideComparison:
    """Fits every guide to the posterior of `model` by the same budget and compares what they say.

    A guide that cannot be fitted, or has no finite evidence, is in the table with the reason, and the others go on.

    **Arguments:**

    - `guides`: by name, each made for `model`.
    - `args`, `kwargs`: what model and guides are called with, data included.
    - `reference`: draws of the posterior by site, `(draw, ...)` or `(chain, draw, ...)`, or `"nuts"` to have four
      chains of NUTS drawn. With them come upper bounds of the log evidence and distances; see `evidence`.
    - `log_evidence`: the true one where it is known, with its standard error or as a number.
    - `settings`: of every fit, the number of updates or the seconds, and the particles among them; see `FitSettings`.
    - `num_particles`: draws of each guide behind its figures; `num_compared`: those that distances look at.
    - `on_entry`: called with each guide as soon as its figures are there.

    **Raises:** `InputError` for no guides, what is no guide, and a reference that is none of this posterior.
    """
    num_particles, num_compared = check_sizes(num_particles=num_particles, num_compared=num_compared)
    key, kwargs, given = check_key(key), dict(kwargs or {}), named(guides, "guides")
    check_some("guides", given, expected="at least one guide", remedy="pass guides by name")
    for name, guide in given.items():
        if not isinstance(guide, AutoGuide):
            got, remedy = f"{type(guide).__name__} at {name!r}", "for example AutoNormal(model)"
            raise InputError("guides", expected="NumPyro's automatic guides, by name", got=got, remedy=remedy)
    truth = Estimate(float(log_evidence), 0.0, 1) if isinstance(log_evidence, int | float) else log_evidence
    words = ""
    if isinstance(reference, str):
        one_of("reference", reference, ("nuts",), "or pass draws by site")
        reference, words = nuts_draws(model, jax.random.fold_in(key, len(given)), args, kwargs)
    elif reference is not None:
        words = "the reference"

    entries = []
    for number, (name, guide) in enumerate(given.items()):
        own = jax.random.fold_in(key, number)
        entry = _entry(name, model, guide, args, kwargs, own, reference, settings, num_particles)
        if (found := entry.found) is not None:
            distances = (None, None) if reference is None else _distances(found, reference, own, num_compared)
            gaps = (None, None) if truth is None else (_gap(truth, found.elbo), _gap(truth, found.log_evidence))
            entry = replace(entry, distance=distances[0], resampled_distance=distances[1])
            entry = replace(entry, gap=gaps[0], shortfall=gaps[1])
        if on_entry is not None:
            on_entry(entry)
        entries.append(entry)
    return GuideComparison(tuple(sorted(entries, key=_place)), truth, words)


def _entry(
    name: str,
    model: Callable[..., Any],
    guide: AutoGuide,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    key: PRNGKey,
    reference: Mapping[str, Any] | None,
    settings: FitSettings | None,
    num_particles: int,
) -> GuideEntry:
    fit_key, evidence_key = jax.random.split(key)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what a fit warns of is among its notices
            fit = fit_guide(guide, fit_key, *args, settings=settings, **kwargs)
        seconds = time.perf_counter() - began
    except (InputError, TrainingError) as error:
        return GuideEntry(name, seconds=time.perf_counter() - began, failure=f"not fitted: {error}")
    how: dict[str, Any] = {"key": evidence_key, "num_particles": num_particles}
    try:
        found = evidence(model, fit.guide, fit.params, *args, **how, reference=reference, **kwargs)
    except InputError as error:
        if error.argument != "reference":
            return GuideEntry(name, fit, seconds=seconds, failure=f"no evidence: {error}")
        # A guide that cannot be placed at given draws, as a flow that goes one way only, has the other figures.
        found = evidence(model, fit.guide, fit.params, *args, **how, **kwargs)
    return GuideEntry(name, fit, found, seconds)


def _distances(
    found: Evidence, reference: Mapping[str, Any], key: PRNGKey, num_compared: int
) -> tuple[Distance | None, Distance | None]:
    """Of the guide's draws, and of resampled ones, to the reference."""
    sites = [name for name in found.draws if name in reference]
    sets = {"own": found.draws, "own" + RESAMPLED: found.resampled(key)}
    some = {label: {site: draws[site] for site in sites} for label, draws in sets.items()}
    chains = [np.shape(reference[site])[: -found.draws[site].ndim + 1 or None] for site in sites]
    compared = compare_posteriors(
        some,
        reference={site: reference[site] for site in sites},
        with_chains={"reference"} if len(chains[0]) == 2 else (),
        independent=some,
        num_draws=num_compared,
        distances=(sliced_wasserstein,),
    )
    rows = {row.name: row.distances.get("sliced W2") for row in compared.rows}
    return rows["own"], rows["own" + RESAMPLED]


def _gap(truth: Estimate, found: Estimate) -> Estimate:
    return Estimate(float(truth.mean - found.mean), float(np.hypot(truth.se, found.se)), found.num)


def _place(entry: GuideEntry) -> float:
    """Higher bounds first, guides without one last."""
    if entry.found is None or not np.isfinite(entry.found.elbo.mean):
        return np.inf
    return -float(entry.found.elbo.mean)
