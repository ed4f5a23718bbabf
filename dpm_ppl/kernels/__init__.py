"""Kernels: what one step does to the data, and how a network's outputs become the step back. Choose one by the data.

- `GaussianKernel` is for real numbers and for levels. Start with the readout `noise_prediction`; `perturbation` is the
  paper's.
- `BernoulliKernel` is for bits. Start with the readout `clean_rate`; `direct_rate` is the paper's.
- A kernel of your own is a subclass of `AbstractKernel`: five laws.
"""

from dpm_ppl.kernels.base import AbstractKernel
from dpm_ppl.kernels.bernoulli import BernoulliKernel, clean_rate, direct_rate
from dpm_ppl.kernels.gaussian import GaussianKernel, noise_prediction, perturbation

__all__ = [
    "AbstractKernel",
    "BernoulliKernel",
    "GaussianKernel",
    "clean_rate",
    "direct_rate",
    "noise_prediction",
    "perturbation",
]
