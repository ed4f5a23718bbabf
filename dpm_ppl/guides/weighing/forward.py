"""`Forward`: what weights of draws of the posterior itself say of a guide; they see the modes that it has lost.

With w = p(data, z) / q(z) and z from the posterior, E log w is an upper bound of log Z (EUBO), and so is, in
expectation, the forward log evidence -log mean(1 / w), as E 1/w = 1/Z wherever the guide draws from. Both need draws
that are exact: a mode that the reference lacks is missed here too.
"""

from dataclasses import dataclass

import numpy as np
from numpyro.diagnostics import effective_sample_size as independent_draws

from dpm_ppl._common.wording import AT_MOST, percentage, short_repr
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.likelihood.result import LogLikelihood

ERRORS = 3.0
"""Standard errors by which something must be the case before a verdict is made of it."""
FEWEST_FOR_AUTOCORRELATION = 4


@dataclass(frozen=True)
class Forward:
    """Figures of a guide from `num_draws` draws of the posterior; nats.

    - `eubo`: E log w, an upper bound of the log evidence; infinite where the guide has no density at some draw.
    - `log_evidence`: -log mean(1 / w), above the log evidence in expectation.
    - `ess`: forward effective sample size, num_draws / (mean(w) mean(1 / w)): of the share of it that a guide would
      reach in the posterior, nothing where it has lost a mode.
    - `unseen`: the share of the draws that weigh more than any draw of the guide: where it has not been.
    - `log_weights`: `(draw,)`.

    The errors are those of as many independent draws as the reference is worth.
    """

    __repr__ = short_repr

    eubo: Estimate
    log_evidence: Estimate
    ess: float
    unseen: Estimate
    log_weights: np.ndarray

    @property
    def num_draws(self) -> int:
        """Draws of the reference."""
        return len(self.log_weights)

    def least_unseen(self) -> float:
        """The share of the posterior that the guide's draws have missed for certain, three standard errors down."""
        return max(float(self.unseen.mean) - ERRORS * float(self.unseen.se), 0.0)

    def __str__(self) -> str:
        return (
            f"EUBO {self.eubo.plus_minus(side=AT_MOST)}, forward log evidence {self.log_evidence.plus_minus()} nats, "
            f"forward ESS {percentage(self.ess / self.num_draws)} (n = {self.num_draws:,} of the reference)"
        )

    @classmethod
    def of(cls, log_weights: np.ndarray, num_chains: int, largest: float) -> "Forward":
        """From log-weights of draws of the posterior, chain after chain, and the largest of the guide's own."""
        inverse = LogLikelihood.of_weights(-log_weights)
        num = len(log_weights)
        with np.errstate(invalid="ignore"):
            mean, mean_inverse = (np.logaddexp.reduce(part) - np.log(num) for part in (log_weights, -log_weights))
            shares = np.exp(-log_weights - np.max(-log_weights))
            unseen = log_weights > largest
        factor = [_widening(values, num_chains) for values in (log_weights, shares, unseen.astype(float))]
        evidence = Estimate(-float(inverse.log_likelihood[0]), float(inverse.se[0]), num)
        return cls(
            eubo=_widened(estimate(log_weights), factor[0]),
            log_evidence=_widened(evidence, factor[1]),
            ess=float(num * np.exp(-mean - mean_inverse)) if np.isfinite(mean) else 0.0,
            unseen=_widened(estimate(unseen), factor[2]),
            log_weights=log_weights,
        )


def _widening(values: np.ndarray, num_chains: int) -> float:
    """How much larger errors are of draws that depend on each other than of as many that do not."""
    by_chain = values.reshape(num_chains, -1)
    if by_chain.shape[1] < FEWEST_FOR_AUTOCORRELATION or not np.isfinite(values).all() or np.ptp(values) == 0:
        return 1.0
    num = float(independent_draws(by_chain))
    return float(np.sqrt(max(len(values) / num, 1.0))) if num > 0 else 1.0


def _widened(figure: Estimate, factor: float) -> Estimate:
    return Estimate(figure.mean, figure.se * factor, figure.num)
