"""Diffusion kernel families, one file each."""

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
