"""`Posterior`: draws of x_0 given an observation, with weights, evidence, and what is to be thought of them."""

import math
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.types import PRNGKey
from dpm_ppl._common.wording import short_repr
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.likelihood.diagnostics import DOUBTFUL, RELIABLE, UNUSABLE, effective_sample_size
from dpm_ppl.smc.resampling import systematic

FEWEST_EFFECTIVE = 100
"""Effective draws below which no posterior is called reliable: an interval's end would rest on two or three of them."""
ENOUGH_RUNS = 4
"""From so many on, the spread of independent runs is trusted more than what each says of itself."""
MOST_RELATIVE_ERROR = 0.3
"""Of the evidence of a reliable posterior."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """What a method has found out about x_0.

    - `draws`: `(draw, *event_shape)`, in the units of the data as they were given (those that the diffusion works in
      without `units`).
    - `log_weights`: `(draw,)`, normalised: their exponentials add up to 1.
    - `log_evidence`: an `Estimate` of log E_p[r(x_0)], nats, of the observation in the units it was given in, or None
      where the method gives none, as `MCMC` and `Paper` do not.
    - `verdict`: `reliable`, `doubtful`, `unusable`; or `approximate` where a method is biased however long it runs.
    - `statistics`: what the method has to say of its run, by name.
    - `notices`: in words, what to change.
    - `log_likelihood`: `(draw, ...)`, log-density of what was observed given each draw, in nats and the units it was
      given in: of each measurement, NaN where there is none, or of all together where the likelihood has no factors.
      None where coordinates are known exactly, which has no density.
    """

    __repr__ = short_repr

    method: str
    draws: np.ndarray
    log_weights: np.ndarray
    observed: np.ndarray
    log_evidence: Estimate | None
    verdict: str
    statistics: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    log_likelihood: np.ndarray | None = None

    @property
    def ess(self) -> float:
        """Effective number of draws, by their weights."""
        return float(effective_sample_size(self.log_weights))

    @property
    def weights(self) -> np.ndarray:
        """Of the draws, `(draw,)`; they add up to 1."""
        return np.exp(self.log_weights)

    def mean(self) -> np.ndarray:
        """The posterior mean, of the event shape."""
        return np.tensordot(self.weights, self.draws, axes=1)

    def std(self) -> np.ndarray:
        """The posterior standard deviation of each coordinate."""
        return np.sqrt(np.tensordot(self.weights, (self.draws - self.mean()) ** 2, axes=1))

    def resampled(self, key: PRNGKey, num_draws: int | None = None) -> np.ndarray:
        """Draws of equal weight, `(num_draws, *event_shape)`, as many as there are if not given, in random order."""
        return self.draws[self.ancestors(key, num_draws)]

    def ancestors(self, key: PRNGKey, num_draws: int | None = None) -> np.ndarray:
        """The numbers of the draws that `resampled` takes, `(num_draws,)`."""
        num = len(self.draws) if num_draws is None else whole_number("num_draws", num_draws)
        key, order_key = jax.random.split(key)
        ancestors = []
        for start in range(0, num, len(self.draws)):
            chosen = systematic(jax.random.fold_in(key, start), jnp.asarray(self.log_weights, dtype=float))
            ancestors.append(np.asarray(jax.random.permutation(jax.random.fold_in(order_key, start), chosen)))
        return np.concatenate(ancestors)[:num]

    def __str__(self) -> str:
        evidence = "no evidence" if self.log_evidence is None else f"log evidence {self.log_evidence.format('nats')}"
        draws = f"{len(self.draws):,} draws, {self.ess:,.0f} effective"
        return "\n".join([f"{self.method}: {draws}, {evidence}, {self.verdict}", *self.notices])


def log_estimate(log_values: np.ndarray, relative_variances: np.ndarray, num_particles: int) -> Estimate:
    """The logarithm of the mean of positive estimates, `(run,)`, of so many particles in all, with its standard error.

    The error of `ENOUGH_RUNS` or more is that of their spread; of fewer that of their own variances, if it is larger.
    """
    peak = float(np.max(log_values))
    if not math.isfinite(peak):
        return Estimate(-math.inf, math.nan, num_particles)
    values = np.exp(np.asarray(log_values, np.float64) - peak)
    num, mean = len(values), float(values.mean())
    errors = [float(estimate(values).se)] if num > 1 else []
    if num < ENOUGH_RUNS:
        errors.append(float(np.sqrt((values**2 * relative_variances).sum())) / num)
    return Estimate(peak + math.log(mean), max(errors) / mean, num_particles)


def verdict_of(ess: float, error: float) -> str:
    """From the effective number of draws and the relative error of the evidence."""
    if not math.isfinite(error) or error >= 1 or ess < 2:
        return UNUSABLE
    return RELIABLE if ess >= FEWEST_EFFECTIVE and error <= MOST_RELATIVE_ERROR else DOUBTFUL
