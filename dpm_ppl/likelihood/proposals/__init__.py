"""How particles are drawn: forward trajectories, sequential Monte Carlo, or a guide. One file each."""

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
