"""Diffusion probabilistic models (Sohl-Dickstein et al. 2015) as NumPyro programs.

The reverse chain is the model, the forward chain the guide, and the paper's bound K an SVI objective.
"""

from importlib.metadata import version

from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl.data import Dataset
from dpm_ppl.diffusion import (
    Bound,
    Diffusion,
    EntropyBounds,
    ForwardChain,
    ReverseChain,
    bound,
    entropy_bounds,
    forward_chain,
    reverse_chain,
    sample,
    sample_path,
)
from dpm_ppl.estimates import Estimate, estimate, paired_difference
from dpm_ppl.evaluation.measured import Measured, measure
from dpm_ppl.kernels import (
    AbstractKernel,
    BernoulliKernel,
    GaussianKernel,
    clean_rate,
    direct_rate,
    noise_prediction,
    perturbation,
)
from dpm_ppl.likelihood import (
    LogLikelihood,
    Sandwich,
    SequentialMonteCarlo,
    Trajectories,
    antithetic_noise,
    flow_log_likelihood,
    log_likelihood,
    sandwich,
    stratified_noise,
)
from dpm_ppl.methods import Program
from dpm_ppl.networks import (
    AbstractNetwork,
    BumpMLP,
    BumpReadout,
    GaussianNetwork,
    LevelNetwork,
    RBFNetwork,
    SigmoidMLP,
    StepReadouts,
    TimeMLP,
    gaussian_network,
    level_network,
)
from dpm_ppl.objectives import (
    DiffusionELBO,
    DoublyReparametrisedELBO,
    importance_weighted_elbo,
    renyi_elbo,
    track_step_losses,
)
from dpm_ppl.schedules import AbstractSchedule, Cosine, Erasure, Fixed, Learned, Linear, LogSNR, Step
from dpm_ppl.training import TrainingState, fit

__version__ = version("dpm-ppl")

__all__ = [
    "AbstractKernel",
    "AbstractNetwork",
    "AbstractSchedule",
    "BernoulliKernel",
    "Bound",
    "BumpMLP",
    "BumpReadout",
    "Cosine",
    "Dataset",
    "Diffusion",
    "DiffusionELBO",
    "DoublyReparametrisedELBO",
    "EntropyBounds",
    "Erasure",
    "Estimate",
    "Fixed",
    "ForwardChain",
    "GaussianKernel",
    "GaussianNetwork",
    "InputError",
    "Learned",
    "LevelNetwork",
    "Linear",
    "LogLikelihood",
    "LogSNR",
    "Measured",
    "Program",
    "RBFNetwork",
    "ReverseChain",
    "Sandwich",
    "SequentialMonteCarlo",
    "SigmoidMLP",
    "Step",
    "StepReadouts",
    "TimeMLP",
    "TrainingError",
    "TrainingState",
    "Trajectories",
    "antithetic_noise",
    "bound",
    "clean_rate",
    "direct_rate",
    "entropy_bounds",
    "estimate",
    "fit",
    "flow_log_likelihood",
    "forward_chain",
    "gaussian_network",
    "importance_weighted_elbo",
    "level_network",
    "log_likelihood",
    "measure",
    "noise_prediction",
    "paired_difference",
    "perturbation",
    "renyi_elbo",
    "reverse_chain",
    "sample",
    "sample_path",
    "sandwich",
    "stratified_noise",
    "track_step_losses",
]
