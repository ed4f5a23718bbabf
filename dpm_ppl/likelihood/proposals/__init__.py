"""Proposals: how the particles behind an importance-weighted likelihood are drawn, one kind a file.

`PROPOSALS` has those that can be chosen by name, as on the command line, and `default_proposal` says which suits a
method. The others are made by their class; a new kind is a subclass of `AbstractProposal`.
"""

from dpm_ppl.likelihood.proposals.base import AbstractProposal
from dpm_ppl.likelihood.proposals.from_guide import FromGuide
from dpm_ppl.likelihood.proposals.named import PROPOSALS, check_proposal, default_proposal
from dpm_ppl.likelihood.proposals.smc import BernoulliTwist, GaussianTwist, SequentialMonteCarlo
from dpm_ppl.likelihood.proposals.trajectories import Trajectories, antithetic_noise, stratified_noise

__all__ = [
    "PROPOSALS",
    "AbstractProposal",
    "BernoulliTwist",
    "FromGuide",
    "GaussianTwist",
    "SequentialMonteCarlo",
    "Trajectories",
    "antithetic_noise",
    "check_proposal",
    "default_proposal",
    "stratified_noise",
]
