"""Importance-weighted log-likelihoods, what to think of them, and bounds from both sides."""

from dpm_ppl.diffusion.paths import independent
from dpm_ppl.likelihood.diagnostics import effective_sample_size, pareto_khat, verdicts, weight_histogram
from dpm_ppl.likelihood.estimator import log_likelihood
from dpm_ppl.likelihood.flow import FlowLikelihood, flow_log_density, flow_log_likelihood, flow_sample
from dpm_ppl.likelihood.ladder import Ladder, ladder
from dpm_ppl.likelihood.proposals import (
    AbstractProposal,
    BernoulliTwist,
    FromGuide,
    GaussianTwist,
    SequentialMonteCarlo,
    Trajectories,
    antithetic_noise,
    stratified_noise,
)
from dpm_ppl.likelihood.result import LogLikelihood
from dpm_ppl.likelihood.sandwich import Sandwich, sandwich

__all__ = [
    "AbstractProposal",
    "BernoulliTwist",
    "FlowLikelihood",
    "FromGuide",
    "GaussianTwist",
    "Ladder",
    "LogLikelihood",
    "Sandwich",
    "SequentialMonteCarlo",
    "Trajectories",
    "antithetic_noise",
    "effective_sample_size",
    "flow_log_density",
    "flow_log_likelihood",
    "flow_sample",
    "independent",
    "ladder",
    "log_likelihood",
    "pareto_khat",
    "sandwich",
    "stratified_noise",
    "verdicts",
    "weight_histogram",
]
