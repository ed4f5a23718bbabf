"""The functions a diffusion learns."""

from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.networks.bump import BumpMLP
from dpm_ppl.networks.gaussian import GaussianNetwork, gaussian_network
from dpm_ppl.networks.levels import LevelNetwork, level_network
from dpm_ppl.networks.mlp import SigmoidMLP, TimeMLP
from dpm_ppl.networks.rbf import RBFNetwork
from dpm_ppl.networks.temporal import BumpReadout, StepReadouts, bumps, time_features

__all__ = [
    "AbstractNetwork",
    "BumpMLP",
    "BumpReadout",
    "GaussianNetwork",
    "LevelNetwork",
    "RBFNetwork",
    "SigmoidMLP",
    "StepReadouts",
    "TimeMLP",
    "bumps",
    "gaussian_network",
    "level_network",
    "time_features",
]
