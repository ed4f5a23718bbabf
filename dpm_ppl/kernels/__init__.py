"""Kernels: what one step does to the data, and how a network's outputs become the step back. Choose one by the data.

- `GaussianKernel` is for real numbers and for levels. Start with the readout `noise_prediction`; `velocity` is for
  continuous time, and `perturbation` is the paper's.
- `BernoulliKernel` is for bits. Start with the readout `clean_rate`; `direct_rate` is the paper's.
- `CategoricalKernel` is for symbols, and for levels that are not to be taken for real numbers. Say how they move:
  `absorbing` masks them, `uniform` and `resampled` draw them afresh, `discretised_gaussian` moves them to those near
  them. Start with the readout `clean_levels`; `direct_levels` is like the paper's.
- A kernel of your own is a subclass of `AbstractKernel`: five laws. `LevelLaw` is a law for those of whole numbers.
"""

from dpm_ppl.kernels._levels import LevelLaw
from dpm_ppl.kernels.base import AbstractKernel
from dpm_ppl.kernels.bernoulli import BernoulliKernel, clean_rate, direct_rate
from dpm_ppl.kernels.categorical import CategoricalKernel, clean_levels, direct_levels
from dpm_ppl.kernels.gaussian import GaussianKernel, drift, noise_prediction, perturbation, velocity
from dpm_ppl.kernels.moves import AbstractMoves, absorbing, discretised_gaussian, resampled, uniform

__all__ = [
    "AbstractKernel",
    "AbstractMoves",
    "BernoulliKernel",
    "CategoricalKernel",
    "GaussianKernel",
    "LevelLaw",
    "absorbing",
    "clean_levels",
    "clean_rate",
    "direct_levels",
    "direct_rate",
    "discretised_gaussian",
    "drift",
    "noise_prediction",
    "perturbation",
    "resampled",
    "uniform",
    "velocity",
]
