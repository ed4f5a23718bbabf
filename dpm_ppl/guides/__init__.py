"""Guides for any NumPyro model that start as a guide you have and improve on it. Come here to approximate a posterior.

- `AutoDiffusion` is such a guide. It stands wherever a NumPyro guide stands.
- `PathDerivativeELBO` trains it with less noise than `Trace_ELBO` does.
- `Bridge` (the default) and `Exchanged` (the paper's own chains) are its pairs of chains; a pair of your own is a
  subclass of `AbstractChainPair`, which gives `Departure`s. Its law is a `PathLaw`.
"""

from dpm_ppl.guides.auto_diffusion import AutoDiffusion
from dpm_ppl.guides.bridge import Bridge
from dpm_ppl.guides.chain_pair import AbstractChainPair, Departure
from dpm_ppl.guides.exchanged import Exchanged
from dpm_ppl.guides.path import PathLaw
from dpm_ppl.guides.path_derivative import PathDerivativeELBO

__all__ = ["AbstractChainPair", "AutoDiffusion", "Bridge", "Departure", "Exchanged", "PathDerivativeELBO", "PathLaw"]
