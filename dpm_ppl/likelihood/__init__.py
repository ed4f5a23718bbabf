"""Log-likelihoods of data under a trained method, and how far to trust them. Come here when a bound is not enough.

- `log_likelihood` averages importance weights, for every method. Its result, a `LogLikelihood`, has standard errors,
  verdicts, and a `Ladder` that shows what more particles bring; `ladder` makes one from weights that were kept.
- A proposal says how particles are drawn: `Trajectories`, alone or with `antithetic_noise` or `stratified_noise`
  (`independent` is the default); `SequentialMonteCarlo`, with a twist or not; `FromGuide` for programs.
- `sandwich` bounds the likelihood of simulated data from both sides, and so checks an estimator.
- `flow_log_likelihood` is deterministic: that of the probability-flow ODE, another model with the same network.
  `flow_log_density` is its value for one datum, `flow_sample` draws from it.
- `effective_sample_size`, `pareto_khat`, `verdicts` and `weight_histogram` look at any log-weights.
"""

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
