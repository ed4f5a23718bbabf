"""Posteriors by name: models with their data and, where it is known, their log evidence, for guides to be compared on.

A file declares one; nothing is computed before its builder is called.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dpm_ppl.models.posteriors._target import Target


class Entry(NamedTuple):
    """Where the builder of a posterior is, which has its name, and what it is in a line."""

    module: str
    about: str


ENTRIES = {
    "funnel": Entry("funnel", "Neal's funnel, 10 dimensions, evidence and draws exact"),
    "two_modes": Entry("twomodes", "two normal laws of weights 0.7 and 0.3, 2 dimensions, evidence and draws exact"),
    "ring": Entry("ring", "a squared length seen with noise, 2 dimensions, evidence and draws exact"),
    "eight_schools": Entry("eightschools", "eight schools, non-centred, 10 dimensions"),
    "eight_schools_centred": Entry("eightschools", "eight schools, centred, 10 dimensions"),
    "seeds": Entry("seeds", "random effects on 21 plates of seeds, 26 dimensions"),
    "breast_cancer": Entry("breastcancer", "logistic regression on 569 cases, 31 dimensions"),
    "gaussian_process": Entry("gaussianprocess", "Poisson counts along a Gaussian process, 26 dimensions"),
    "garch": Entry("garch", "a series whose variance depends on its past, 4 dimensions"),
    "cox_process": Entry("coxprocess", "points in the plane whose log intensity is a Gaussian process, 64 dimensions"),
}


def _build(name: str, **options: Any) -> Target:
    return getattr(import_module(f"{__name__}.{ENTRIES[name].module}"), name)(**options)


POSTERIORS: dict[str, Callable[..., Target]] = {name: partial(_build, name) for name in ENTRIES}

__all__ = ["ENTRIES", "POSTERIORS"]
