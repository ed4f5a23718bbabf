"""`LogLikelihood`: the estimates of a call, and everything that says how far to trust them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dpm_ppl._common.wording import AT_LEAST, percentage, short_repr
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.likelihood.diagnostics import EQUAL_WEIGHTS, RELIABLE, SHAPE_ERRORS, khat_of_tail, verdicts
from dpm_ppl.likelihood.hidden_states import hidden_mass
from dpm_ppl.likelihood.ladder import Ladder, ladder_of
from dpm_ppl.likelihood.running import RunningWeights, finite_or_zero
from dpm_ppl.likelihood.tails import NORMAL_QUANTILE, bulk_index, skewness_factor, unseen_tail

_DRAWS_AT_ONCE = 4096


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x_0) of every datum by importance sampling, nats; all arrays are `(datum,)`.

    - `log_likelihood`: the log-mean of `num_particles` weights, NaN where an interruption left none.
    - `se`: its Monte-Carlo standard error: `se_delta`, that of the delta method, widened by what so many draws cannot
      have shown (see `dpm_ppl.likelihood.tails`). `se_bootstrap`: the same with the bootstrap over draws.
    - `ess`: effective sample size of `num_draws` weights; `khat`: Pareto shape of the largest of them; `bulk_index`:
      how heavy they are from their middle alone.
    - `cumulant`, `cumulant_se`: E log w + Var(log w) / 2, the second-order estimate of Jarzynski's average: exact for
      log-normal weights, no bound on anything otherwise.
    - `verdict`: `reliable`, `doubtful`, `unusable` or `too few draws` (see `diagnostics.verdicts`).
    - `is_exact`: whether all weights are equal, so that K is the log-likelihood itself.
    - `ladder`: from K to `log_likelihood`, for the data that have draws.
    - `log_weights` `(datum, draw)`: of this call's draws, if they were asked for.
    """

    __repr__ = short_repr

    log_likelihood: np.ndarray
    se: np.ndarray
    se_delta: np.ndarray
    se_bootstrap: np.ndarray
    ess: np.ndarray
    khat: np.ndarray
    bulk_index: np.ndarray
    cumulant: np.ndarray
    cumulant_se: np.ndarray
    verdict: np.ndarray
    is_exact: np.ndarray
    num_draws: np.ndarray
    num_particles: np.ndarray
    ladder: Ladder
    interrupted: bool
    log_weights: np.ndarray | None

    @property
    def K(self) -> np.ndarray:
        """The mean log-weight of single draws: the bound K itself for plain trajectories."""
        return self.ladder.values[:, 0]

    @property
    def doubtful_share(self) -> float:
        """Share of data whose estimate is not reliable."""
        return float(np.mean(self.verdict != RELIABLE))

    def mean(self) -> Estimate:
        """The mean over data, with the standard error over data, nats."""
        return estimate(self.log_likelihood[self.num_draws > 0])

    def __str__(self) -> str:
        doubt = f", {percentage(self.doubtful_share)} of the data not reliable" if self.doubtful_share else ""
        mean = self.mean().format("nats", side=AT_LEAST if doubt else "")
        return f"{mean}, {int(self.num_particles.min()):,} particles{doubt}"

    @classmethod
    def of(
        cls,
        kept: list[RunningWeights],
        particles_per_draw: int,
        *,
        exact: bool = False,
        interrupted: bool = False,
        log_weights: np.ndarray | None = None,
    ) -> "LogLikelihood":
        """From the running sums of all chunks of data; `exact` where every weight is the likelihood itself."""
        parts = [_summary(weights, exact) for weights in kept]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        estimates = joined["log_likelihood"][joined["num_draws"] > 0]
        return cls(
            **joined,
            num_particles=joined["num_draws"] * particles_per_draw,
            ladder=ladder_of([weights for weights in kept if weights.num_draws], estimates, particles_per_draw),
            interrupted=interrupted,
            log_weights=log_weights,
        )

    @classmethod
    def of_weights(cls, log_weights: np.ndarray) -> "LogLikelihood":
        """Of one datum, from log-weights `(draw,)` that are at hand."""
        running = RunningWeights(1, seed=0)
        for start in range(0, len(log_weights), _DRAWS_AT_ONCE):
            running.add(log_weights[None, start : start + _DRAWS_AT_ONCE])
        return cls.of([running], 1)


def _summary(weights: RunningWeights, exact: bool) -> dict[str, np.ndarray]:
    num = weights.num_draws
    with np.errstate(divide="ignore", invalid="ignore"):
        ess = weights.weight_sum**2 / weights.square_sum
        plain = np.sqrt(np.maximum(1 / ess - 1 / num, 0) * num / (num - 1)) if num > 1 else np.full_like(ess, np.nan)
        estimates = finite_or_zero(weights.peak) + np.log(weights.weight_sum / num)
        replicate = np.log(weights.replicate_weight / weights.replicate_num).std(axis=1, ddof=1)
        mean_log = weights.replicate_log / weights.replicate_num
        spread = weights.replicate_square / weights.replicate_num - mean_log**2
        cumulant_replicate = mean_log + spread / 2
        khat = khat_of_tail(weights.tail, num) if num else np.full_like(ess, np.nan)
    hidden = hidden_mass(weights.jumps, estimates, num) if num else np.full_like(ess, np.nan)
    equal = (plain * np.sqrt(num) < EQUAL_WEIGHTS) & (hidden <= EQUAL_WEIGHTS)
    widen, shape = _allowances(weights, hidden)
    se = widen(plain)
    known_exactly = np.isfinite(estimates) & exact
    bulk = bulk_index(weights.bulk)
    return {
        "log_likelihood": estimates,
        "se": np.where(known_exactly, 0.0, se),
        "se_delta": np.where(known_exactly, 0.0, plain),
        "se_bootstrap": np.where(known_exactly, 0.0, widen(replicate)),
        "ess": ess,
        "khat": khat,
        "bulk_index": bulk,
        "cumulant": weights.group_means.mean[0] + weights.group_means.variance(0, num) / 2,
        "cumulant_se": cumulant_replicate.std(axis=1, ddof=1),
        "verdict": np.where(known_exactly, RELIABLE, verdicts(se, ess, bulk, shape, num, hidden)),
        "is_exact": equal | known_exactly,
        "num_draws": np.full(weights.num_data, num),
    }


def _allowances(weights: RunningWeights, hidden: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """What makes a plain standard error one that covers, and the tail's shape with four standard errors added."""
    num = weights.num_draws
    if num < 2:
        return lambda se: se, np.full(weights.num_data, np.inf)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        largest = np.sort(np.exp(weights.tail - finite_or_zero(weights.peak)[:, None]), axis=1)
        moments = (weights.weight_sum / num, weights.square_sum / num, weights.cube_sum / num)
        # The standard error is itself known to 1 / sqrt(2 S) of it only.
        factor = skewness_factor(*moments, num) * (1 + 1 / np.sqrt(2 * num))
        rise, shape = unseen_tail(largest, num, moments[0], SHAPE_ERRORS)
        unseen = np.maximum(rise, np.nan_to_num(hidden)) / NORMAL_QUANTILE
    return lambda se: np.hypot(se * factor, unseen), shape
