"""Guides for any NumPyro model that start as a guide you have and improve on it. Come here to approximate a posterior.

- `AutoDiffusion` is such a guide. It stands wherever a NumPyro guide stands.
- `fit_guide` fits it, or any guide of NumPyro's, with defaults that hold for most models, and gives a `FittedGuide`.
  `FitSettings` are what can be changed.
- `PathDerivativeELBO` trains it with less noise than `Trace_ELBO` does.
- `Bridge` (the default) and `Exchanged` (the paper's own chains) are its pairs of chains; a pair of your own is a
  subclass of `AbstractChainPair`, which gives `Departure`s. Its law is a `PathLaw`.
"""

from dpm_ppl.guides.auto_diffusion import AutoDiffusion
from dpm_ppl.guides.chains import AbstractChainPair, Bridge, Departure, Exchanged, PathLaw
from dpm_ppl.guides.fitting import FittedGuide, fit_guide
from dpm_ppl.guides.path_derivative import PathDerivativeELBO
from dpm_ppl.guides.stage import FitSettings

__all__ = [
    "AbstractChainPair",
    "AutoDiffusion",
    "Bridge",
    "Departure",
    "Exchanged",
    "FitSettings",
    "FittedGuide",
    "PathDerivativeELBO",
    "PathLaw",
    "fit_guide",
]
