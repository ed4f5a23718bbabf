"""Guides compared on a posterior of the zoo, for the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import make_folder
from dpm_ppl.analysis.page.page import check_page
from dpm_ppl.app.pages.writing import check_target
from dpm_ppl.guides import FitSettings
from dpm_ppl.models.posteriors import ENTRIES, POSTERIORS

if TYPE_CHECKING:
    from dpm_ppl.analysis.guides import GuideComparison, GuideEntry
    from dpm_ppl.models.posteriors._target import Target

PAGE = "guides.html"
REFERENCES = ("exact", "nuts", "none")
NUM_REFERENCE = 4000


def described() -> dict[str, str]:
    """What every posterior is, by name."""
    return {name: entry.about for name, entry in ENTRIES.items()}


def fit_settings(updates: int | None, seconds: float | None) -> FitSettings:
    """How each guide is fitted, from the command line's options.

    **Raises:** `InputError` where both are given.
    """
    if updates is not None and seconds is not None:
        raise InputError("--seconds", expected="--updates or --seconds", got="both", remedy="leave one out")
    if updates is not None:
        return FitSettings(num_updates=updates, num_base_updates=updates)
    return FitSettings(seconds=seconds)


def compare_on(
    name: str,
    guides: Sequence[str],
    reference: str | None,
    settings: FitSettings,
    num_particles: int,
    seed: int,
    out: Path | None,
) -> "tuple[Path, GuideComparison]":
    """Fits the guides to the posterior of this name and writes the page; returns where that is, and the comparison.

    **Raises:** `InputError` for unknown names, a reference that the posterior does not have, and a folder that cannot
    be written to, all before the first fit.
    """
    from dpm_ppl.analysis.guides import compare_guides
    from dpm_ppl.analysis.guides.named import DEFAULT, GUIDES

    one_of("name", name, POSTERIORS, "'dpm-ppl posteriors' lists them")
    for one in guides:
        one_of("--guides", one, GUIDES, "leave it out for all")
    target = POSTERIORS[name]()
    draws = _reference(target, reference, seed)
    check_page()
    folder = out or Path("runs") / f"posteriors-{name}"
    make_folder(folder, "--out")
    check_target(folder / PAGE)
    compared = compare_guides(
        target.model,
        {one: GUIDES[one](target.model) for one in guides or DEFAULT},
        target.args,
        key=jax.random.key(seed),
        reference=draws,
        log_evidence=target.log_evidence,
        settings=settings,
        num_particles=num_particles,
        on_entry=_tell,
    )
    compared.write_page(folder / PAGE, f"Guides of the posterior {name}")
    return folder / PAGE, compared


def _reference(target: "Target", reference: str | None, seed: int) -> Any:
    if reference is not None:
        one_of("--reference", reference, REFERENCES, "leave it out for the best there is")
    if reference == "none":
        return None
    if reference == "exact" and target.draw is None:
        got = f"{target.name}, of which only MCMC has draws"
        raise InputError("--reference", expected="a posterior with exact draws", got=got, remedy="use nuts")
    if reference == "nuts" or target.draw is None:
        print("NUTS ...", file=sys.stderr, flush=True)
        return "nuts"
    return target.draw(jax.random.fold_in(jax.random.key(seed), NUM_REFERENCE), NUM_REFERENCE)


def _tell(entry: "GuideEntry") -> None:
    words = entry.failure if entry.found is None else str(entry.found).splitlines()[0]
    print(f"{entry.name}, {entry.seconds:.0f} s: {words}", file=sys.stderr, flush=True)
