"""Diffusion probabilistic models (Sohl-Dickstein et al. 2015) as NumPyro programs.

The reverse chain is the model, the forward chain the guide, and the paper's bound K an SVI objective. What a user types
every day is here; all else is one room further: `dpm_ppl.kernels`, `dpm_ppl.likelihood`, ..., each of which says at its
head what to use when.
"""

from importlib.metadata import version

from dpm_ppl import data as data
from dpm_ppl import diffusion as diffusion
from dpm_ppl import estimates as estimates
from dpm_ppl import evaluation as evaluation
from dpm_ppl import experiments as experiments
from dpm_ppl import kernels as kernels
from dpm_ppl import likelihood as likelihood
from dpm_ppl import methods as methods
from dpm_ppl import networks as networks
from dpm_ppl import objectives as objectives
from dpm_ppl import schedules as schedules
from dpm_ppl import smc as smc
from dpm_ppl import training as training
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.memory import memory_budget
from dpm_ppl.data import Dataset
from dpm_ppl.diffusion import Diffusion, bound, forward_chain, reverse_chain, sample
from dpm_ppl.estimates import estimate, paired_difference
from dpm_ppl.evaluation import measure
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction
from dpm_ppl.likelihood import SequentialMonteCarlo, Trajectories, flow_log_likelihood, log_likelihood, sandwich
from dpm_ppl.methods import Program
from dpm_ppl.networks import TimeMLP, gaussian_network, level_network
from dpm_ppl.objectives import DiffusionELBO, importance_weighted_elbo, renyi_elbo
from dpm_ppl.schedules import Cosine, Erasure, Learned, Linear, LogSNR
from dpm_ppl.training import fit

__version__ = version("dpm-ppl")

__all__ = [
    "BernoulliKernel",
    "Cosine",
    "Dataset",
    "Diffusion",
    "DiffusionELBO",
    "Erasure",
    "GaussianKernel",
    "InputError",
    "Learned",
    "Linear",
    "LogSNR",
    "Program",
    "SequentialMonteCarlo",
    "TimeMLP",
    "Trajectories",
    "bound",
    "clean_rate",
    "estimate",
    "fit",
    "flow_log_likelihood",
    "forward_chain",
    "gaussian_network",
    "importance_weighted_elbo",
    "level_network",
    "log_likelihood",
    "measure",
    "memory_budget",
    "noise_prediction",
    "paired_difference",
    "renyi_elbo",
    "reverse_chain",
    "sample",
    "sandwich",
]
