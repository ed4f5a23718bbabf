"""Networks: what a diffusion learns, from x_t and t to the numbers that its kernel asks for. Choose one by the data.

- `TimeMLP` is the one to start with, for vectors of any kind.
- `level_network` makes a `LevelNetwork`, for data with levels (pixels, counts): it knows the intervals of the levels.
- `spike_slab_network` makes a `SpikeSlabNetwork`, for many levels of which a few are frequent, as the black of pixels.
- `categorical_network` makes a `CategoricalNetwork`, for symbols and levels under a `CategoricalKernel`.
- `gaussian_network` makes a `GaussianNetwork`, which starts from the mean and covariance of the data.
- `UNet` is for images of more than a few pixels.
- The paper's own are `SigmoidMLP` (bits), `RBFNetwork` (the swiss roll), `MultiScaleNetwork` (images) and `BumpMLP`
  (the dense layers of the latter, straight to the readout).
- A network of your own is a subclass of `AbstractNetwork`. It can see the step by `time_features`, or by the readouts
  `StepReadouts` (one per step), `SmoothReadouts` (with which their training may begin) and `BumpReadout` (with `bumps`
  over time).
"""

from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.networks.bump import BumpMLP
from dpm_ppl.networks.categorical import CategoricalNetwork, categorical_network
from dpm_ppl.networks.gaussian import GaussianNetwork, gaussian_network
from dpm_ppl.networks.image import MultiScaleNetwork, UNet
from dpm_ppl.networks.levels import LevelNetwork, level_network
from dpm_ppl.networks.mlp import SigmoidMLP, TimeMLP
from dpm_ppl.networks.rbf import RBFNetwork
from dpm_ppl.networks.spikes import SpikeSlabNetwork, frequent_levels, spike_slab_network
from dpm_ppl.networks.temporal import BumpReadout, SmoothReadouts, StepReadouts, bumps, time_features

__all__ = [
    "AbstractNetwork",
    "BumpMLP",
    "BumpReadout",
    "CategoricalNetwork",
    "GaussianNetwork",
    "LevelNetwork",
    "MultiScaleNetwork",
    "RBFNetwork",
    "SigmoidMLP",
    "SmoothReadouts",
    "SpikeSlabNetwork",
    "StepReadouts",
    "TimeMLP",
    "UNet",
    "bumps",
    "categorical_network",
    "frequent_levels",
    "gaussian_network",
    "level_network",
    "spike_slab_network",
    "time_features",
]
