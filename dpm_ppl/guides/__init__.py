"""Guides of any NumPyro model: a better one than you have, and how good any of them is. Come here for a posterior.

- `AutoDiffusion` is a guide that starts as one you have, its base, and improves on it. It stands wherever a NumPyro
  guide stands.
- `fit_guide` fits it, or any guide of NumPyro's, with defaults that hold for most models, and gives a `GuideFit`.
  `FitSettings` are what can be changed. A guide fitted elsewhere is a `FittedGuide`.
- `evidence` says of any fitted guide how tight its bound is, what the log evidence is by importance weights and how far
  to trust both: an `Evidence`. With draws of the posterior from elsewhere a `Forward` tells what the guide has lost.
- `PathDerivativeELBO` trains an `AutoDiffusion` with less noise than `Trace_ELBO` does.
- `Bridge` (the default) and `Exchanged` (the paper's own chains) are its pairs of chains; a pair of your own is a
  subclass of `AbstractChainPair`, which gives `Departure`s. Its law is a `PathLaw`.

`dpm_ppl.analysis.guides` compares several guides, and makes ArviZ's trees of them.
"""

from dpm_ppl.guides.auto_diffusion import AutoDiffusion
from dpm_ppl.guides.chains import AbstractChainPair, Bridge, Departure, Exchanged, PathLaw
from dpm_ppl.guides.evidence import evidence
from dpm_ppl.guides.fitted import FittedGuide
from dpm_ppl.guides.fitting import GuideFit, fit_guide
from dpm_ppl.guides.path_derivative import PathDerivativeELBO
from dpm_ppl.guides.stage import FitSettings
from dpm_ppl.guides.weighing.forward import Forward
from dpm_ppl.guides.weighing.result import Evidence

__all__ = [
    "AbstractChainPair",
    "AutoDiffusion",
    "Bridge",
    "Departure",
    "Evidence",
    "Exchanged",
    "FitSettings",
    "FittedGuide",
    "Forward",
    "GuideFit",
    "PathDerivativeELBO",
    "PathLaw",
    "evidence",
    "fit_guide",
]
