"""Importance-weighted log-likelihoods, what to think of them, and bounds from both sides."""

from dpm_ppl.likelihood.diagnostics import effective_sample_size, pareto_khat, verdicts, weight_histogram
from dpm_ppl.likelihood.estimator import log_likelihood
from dpm_ppl.likelihood.result import Ladder, LogLikelihood
from dpm_ppl.likelihood.sandwich import Sandwich, sandwich, simulate
from dpm_ppl.likelihood.trajectories import AbstractProposal, Trajectories, antithetic, independent, stratified

__all__ = [
    "AbstractProposal",
    "Ladder",
    "LogLikelihood",
    "Sandwich",
    "Trajectories",
    "antithetic",
    "effective_sample_size",
    "independent",
    "log_likelihood",
    "pareto_khat",
    "sandwich",
    "simulate",
    "stratified",
    "verdicts",
    "weight_histogram",
]
