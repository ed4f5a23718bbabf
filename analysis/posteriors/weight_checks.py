"""`check_weights`: what the importance weights of draws say of an approximation, whatever drew it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.likelihood import LogLikelihood
from dpm_ppl.likelihood.diagnostics import of_approximation


@dataclass(frozen=True)
class WeightCheck:
    """What the importance weights of an approximation against its model say of it (Yao et al. 2018, section 2).

    `khat` and `ess` are those of `num_draws` weights; `elbo` is their mean log, nats. `verdict` is that of the evidence
    they estimate (see `dpm_ppl.likelihood.verdicts`), but at best `doubtful` where k-hat is more than so many draws
    allow, and `unusable` above 1: of an approximation k-hat says how far it is from its target.
    """

    khat: float
    ess: float
    num_draws: int
    elbo: Estimate
    verdict: str


def check_weights(log_weights: ArrayLike, num_draws: int | None = None) -> WeightCheck:
    """k-hat, effective sample size and verdict of log p(data, draw) - log q(draw), `(draw,)`, nats.

    **Raises:** `InputError` where there are fewer than two or not `num_draws`, any is NaN or +inf, or none is finite.
    """
    log_weights = np.asarray(log_weights, np.float64)
    failed = np.isnan(log_weights) | np.isposinf(log_weights)
    is_shaped = log_weights.ndim == 1 and len(log_weights) >= 2 and num_draws in (None, len(log_weights))
    if not is_shaped or failed.any() or np.isneginf(log_weights).all():
        wrong = f", {failed.sum():,} of them NaN or +inf" if failed.any() else ""
        raise InputError(
            "log_weights",
            expected=f"numbers ({'draw' if num_draws is None else num_draws},), not all of them -inf",
            got=f"shape {log_weights.shape}{wrong}",
            remedy="one per draw; where the model or the guide gives none, find out why",
        )
    found = LogLikelihood.of_weights(log_weights)
    khat = float(found.khat[0])
    verdict = of_approximation(str(found.verdict[0]), khat, len(log_weights))
    return WeightCheck(khat, float(found.ess[0]), len(log_weights), estimate(log_weights), verdict)
