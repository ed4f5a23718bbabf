"""The functions a diffusion learns."""

from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.networks.mlp import SigmoidMLP, TimeMLP
from dpm_ppl.networks.rbf import RBFNetwork
from dpm_ppl.networks.temporal import BumpReadout, StepReadouts, bumps, time_features

__all__ = [
    "AbstractNetwork",
    "BumpReadout",
    "RBFNetwork",
    "SigmoidMLP",
    "StepReadouts",
    "TimeMLP",
    "bumps",
    "time_features",
]
