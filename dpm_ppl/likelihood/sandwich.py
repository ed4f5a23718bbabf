"""`sandwich`: bounds on the log-likelihood of simulated data from both sides (bidirectional Monte Carlo).

A datum x_0 that the reverse chain has made comes with the path that made it, one exact draw from p(x_1 ... x_T | x_0).
With S independent forward trajectories of weights w_i, and the weight w_0 of that exact path,

    E log mean(w_1 ... w_S) <= log p(x_0) <= E log mean(w_0, w_1 ... w_S).

The right-hand side at S = 0 is Grosse, Ghahramani and Adams (2015); with the forward draws in the mean it is the upper
bound of Sobolev and Vetrov (2019), which comes down to the log-likelihood as S grows. Particles that share their noise
or are resampled give a lower bound, but in that mean they would spoil the upper one: of two equal weights, 1 with
probability 0.9 and else 0, the mean is 0.9, while w_0 = 1 and E log mean(w_0, w_1, w_2) = 0.1 log(1/3) = -0.110 is less
than log 0.9 = -0.105. So with them the right-hand side is log w_0. The distance between both sides is at least the bias
of the left one: a certificate of how good S particles are, on simulated data.
"""

from dataclasses import dataclass

import jax
import numpy as np

from dpm_ppl._common.checks import check_key, check_known, check_sizes
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl._common.wording import percentage, short_repr
from dpm_ppl.estimates.standard_errors import Estimate, estimate, paired_difference
from dpm_ppl.likelihood.estimator import log_likelihood
from dpm_ppl.likelihood.proposals import PROPOSALS, default_proposal
from dpm_ppl.likelihood.result import LogLikelihood
from dpm_ppl.methods.base import AbstractMethod, check_method


@dataclass(frozen=True)
class Sandwich:
    """Stochastic lower and upper bounds on log p(x_0) of data simulated from the model; nats, arrays `(datum,)`.

    It certifies the estimator on such data only: held-out data that the model would seldom make can be harder.

    - `x_0` `(datum, *event)`: the simulated data.
    - `lower`: the log-mean of `num_particles` weights, as `log_likelihood` gives it; `forward` is the whole of it.
    - `upper`: the log-mean with the weight of the path that made the datum among them, and that weight alone where
      particles depend on one another.
    - `log_weight_exact`: the logarithm of that weight. E 1/w over such paths is 1 / p(x_0).
    """

    __repr__ = short_repr

    x_0: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    log_weight_exact: np.ndarray
    num_particles: int
    forward: LogLikelihood

    def figures(self) -> dict[str, Estimate]:
        """Means over data: `lower`, `upper` and `gap`, the paired difference."""
        known = self.forward.num_draws > 0
        lower, upper = self.lower[known], self.upper[known]
        return {"lower": estimate(lower), "upper": estimate(upper), "gap": paired_difference(upper, lower)}

    @property
    def gap(self) -> Estimate:
        """The mean of upper - lower; in expectation at least the bias of the lower bound."""
        return self.figures()["gap"]

    def __str__(self) -> str:
        lower, upper, gap = (figure.format("nats") for figure in self.figures().values())
        doubt = self.forward.doubtful_share
        return (
            f"{len(self.x_0):,} simulated data, {self.num_particles:,} particles: {lower} <= log p <= {upper}, "
            f"gap {gap}, {percentage(doubt)} of the data not reliable; certifies simulated data only"
        )


def sandwich(
    method: AbstractMethod, key: PRNGKey, num_data: int = 100, num_particles: int = 1000, **options
) -> Sandwich:
    """Lower and upper bounds on the log-likelihood of `num_data` data that the model makes.

    `options` are those of `log_likelihood`, but for `draw`: noise added to the data would have no part in their paths.

    **Raises:** `InputError` as `log_likelihood` does.
    """
    check_method(method)
    if options.get("draw") is not None:
        raise InputError("draw", expected="none, for simulated data", got=options["draw"], remedy="leave it out")
    check_known(method=method, key=key)
    num_data, num_particles = check_sizes(num_data=num_data, num_particles=num_particles)
    method.check_simulation()
    simulation_key, forward_key = jax.random.split(check_key(key))
    x_0, log_weight_exact = (np.asarray(part) for part in method.simulate(simulation_key, num_data))
    forward = log_likelihood(method, x_0, forward_key, num_particles, **options)
    log_weight_exact = log_weight_exact.astype(np.float64)
    proposal = options.get("proposal") or PROPOSALS[default_proposal(method)]
    num = forward.num_particles if proposal.independent_particles else 0
    upper = upper_bound(log_weight_exact, forward.log_likelihood, num)
    return Sandwich(x_0, forward.log_likelihood, upper, log_weight_exact, int(forward.num_particles.min()), forward)


def upper_bound(log_weight_exact: np.ndarray, log_mean: np.ndarray, num: np.ndarray | int) -> np.ndarray:
    """The log-mean of the exact path's weight and of those of `num` independent particles, `(datum,)`."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(log_mean + np.log(num), log_weight_exact) - np.log(num + 1)
