"""Guides by name: NumPyro's own and those that improve on them, each made for a model with its defaults."""

from collections.abc import Callable
from functools import partial
from typing import Any

from numpyro.infer.autoguide import (
    AutoBNAFNormal,
    AutoDAIS,
    AutoGuide,
    AutoIAFNormal,
    AutoMultivariateNormal,
    AutoNormal,
)

from dpm_ppl.guides import AutoDiffusion, Exchanged

GUIDES: dict[str, Callable[[Callable[..., Any]], AutoGuide]] = {
    "normal": AutoNormal,
    "mvn": AutoMultivariateNormal,
    "iaf": AutoIAFNormal,
    "bnaf": AutoBNAFNormal,
    "dais": AutoDAIS,
    "diffusion-mvn": partial(AutoDiffusion, base=AutoMultivariateNormal),
    "diffusion-iaf": partial(AutoDiffusion, base=AutoIAFNormal),
    "exchanged-iaf": partial(AutoDiffusion, base=AutoIAFNormal, chains=Exchanged, num_steps=32),
}
"""By name, a function from the model to the guide; the last part of a diffusion's name is its base."""
DEFAULT = tuple(name for name in GUIDES if name != "exchanged-iaf")
"""Those that are compared where none are named."""
