"""Importance-weighted log-likelihoods with everything that says how far to trust them."""

from dataclasses import dataclass

import numpy as np

from dpm_ppl._wording import AT_LEAST, percentage
from dpm_ppl.estimates import Estimate, estimate
from dpm_ppl.likelihood.diagnostics import RELIABLE, khat_of_tail, verdicts
from dpm_ppl.likelihood.ladder import Ladder, ladder_of
from dpm_ppl.likelihood.running import RunningWeights, finite_or_zero


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x_0) of every datum by importance sampling, nats; all arrays are `(datum,)`.

    - `log_likelihood`: the log-mean of `num_particles` weights, NaN where an interruption left none.
    - `se`, `se_bootstrap`: its Monte-Carlo standard error by the delta method, and by the bootstrap over draws.
    - `ess`: effective sample size of `num_draws` weights; `khat`: Pareto shape of the largest of them.
    - `cumulant`, `cumulant_se`: E log w + Var(log w) / 2, the second-order estimate of Jarzynski's average: exact for
      log-normal weights, no bound on anything otherwise.
    - `verdict`: `reliable`, `doubtful` or `unusable` (see `diagnostics.verdicts`).
    - `ladder`: from K to `log_likelihood`, for the data that have draws.
    - `log_weights` `(datum, draw)`: of this call's draws, if they were asked for.
    """

    log_likelihood: np.ndarray
    se: np.ndarray
    se_bootstrap: np.ndarray
    ess: np.ndarray
    khat: np.ndarray
    cumulant: np.ndarray
    cumulant_se: np.ndarray
    verdict: np.ndarray
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
        interrupted: bool = False,
        log_weights: np.ndarray | None = None,
    ) -> "LogLikelihood":
        """From the running sums of all chunks of data."""
        parts = [_summary(weights) for weights in kept]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        estimates = joined["log_likelihood"][joined["num_draws"] > 0]
        return cls(
            **joined,
            num_particles=joined["num_draws"] * particles_per_draw,
            ladder=ladder_of([weights for weights in kept if weights.num_draws], estimates, particles_per_draw),
            interrupted=interrupted,
            log_weights=log_weights,
        )


def _summary(weights: RunningWeights) -> dict[str, np.ndarray]:
    num = weights.num_draws
    with np.errstate(divide="ignore", invalid="ignore"):
        ess = weights.weight_sum**2 / weights.square_sum
        se = np.sqrt(np.maximum(1 / ess - 1 / num, 0) * num / (num - 1)) if num > 1 else np.full_like(ess, np.nan)
        replicate = np.log(weights.replicate_weight / weights.replicate_num)
        mean_log = weights.replicate_log / weights.replicate_num
        spread = weights.replicate_square / weights.replicate_num - mean_log**2
        khat = khat_of_tail(weights.tail, num) if num else np.full_like(ess, np.nan)
        cumulant_replicate = mean_log + spread / 2
        result = {
            "log_likelihood": finite_or_zero(weights.peak) + np.log(weights.weight_sum / num),
            "se": se,
            "se_bootstrap": replicate.std(axis=1, ddof=1),
            "ess": ess,
            "khat": khat,
            "cumulant": weights.rungs.mean[0] + weights.rungs.variance(0, num) / 2,
            "cumulant_se": cumulant_replicate.std(axis=1, ddof=1),
            "verdict": verdicts(khat, se, num),
        }
    return result | {"num_draws": np.full(weights.num_data, num)}
