"""Other variational methods by name: a builder takes training data and a seed, and returns a `Recipe` to fit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

import dpm_ppl as dpm

MODULES = {
    "vae": "vae",
    "iwae": "vae",
    "hvae": "hierarchical",
    "flow": "flow",
    "mixture": "mixture",
    "gaussian": "gaussian",
}
"""The module of each method, which has its builder under its name and is imported when it is called."""


def _build(name: str, train: dpm.Dataset, seed: int = 0) -> dpm.experiments.Recipe:
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)(train, seed)


METHODS: dict[str, Callable[..., dpm.experiments.Recipe]] = {name: partial(_build, name) for name in MODULES}

__all__ = ["METHODS"]
