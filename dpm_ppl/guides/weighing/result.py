"""`Evidence`: what the weights of a guide's draws say of it, and of the posterior."""

import contextlib
import math
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_key, whole_number
from dpm_ppl._common.types import PRNGKey
from dpm_ppl._common.wording import AT_LEAST, khat_words, percentage, short_repr
from dpm_ppl.estimates.standard_errors import Estimate, estimate, finite_or_none
from dpm_ppl.guides.weighing.forward import ERRORS, Forward
from dpm_ppl.guides.weighing.pair import Pair
from dpm_ppl.likelihood.diagnostics import (
    DOUBTFUL,
    LARGEST_USABLE_KHAT,
    MOST_HIDDEN,
    RELIABLE,
    UNUSABLE,
    of_approximation,
)
from dpm_ppl.likelihood.result import LogLikelihood
from dpm_ppl.likelihood.tails import NORMAL_QUANTILE
from dpm_ppl.smc.resampling import systematic

_SMALLEST_LOSS = 1e-2
"""Nats of the log evidence below which nobody misses a part of the posterior."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What importance weights log w = log p(data, z) - log q(z) of a guide's own draws say of it; nats.

    - `elbo`: E log w, a lower bound of the log evidence.
    - `log_evidence`: the log-mean of all weights, itself a lower bound in expectation, with an error that allows for
      what so many draws cannot have shown (see `dpm_ppl.likelihood.tails`).
    - `ess`: effective sample size of the `num_particles` weights; `khat`: Pareto shape of the largest of them.
    - `verdict`: as `log_likelihood` has them; at best `doubtful` where k-hat is more than so many draws allow, and
      where the reference shows that a part of the posterior is missing. `notices` say why in words.
    - `log_weights`, `log_q`: `(draw,)`; `draws`: of the guide, `(draw, ...)` by site of the model, deterministic ones
      among them.
    - `forward`: what draws of the posterior say, where there was a reference.
    """

    __repr__ = short_repr

    elbo: Estimate
    log_evidence: Estimate
    ess: float
    khat: float
    verdict: str
    notices: tuple[str, ...]
    log_weights: np.ndarray
    log_q: np.ndarray
    draws: dict[str, np.ndarray]
    forward: Forward | None
    pair: Pair = field(repr=False)

    @property
    def num_particles(self) -> int:
        """Draws of the guide."""
        return len(self.log_weights)

    def figures(self) -> dict[str, Estimate]:
        """From below to above: `elbo`, `log_evidence`, and with a reference `forward_log_evidence` and `eubo`."""
        figures = {"elbo": self.elbo, "log_evidence": self.log_evidence}
        if self.forward is not None:
            figures |= {"forward_log_evidence": self.forward.log_evidence, "eubo": self.forward.eubo}
        return figures

    def smoothed_log_weights(self) -> np.ndarray:
        """Normalised log-weights, `(draw,)`, the largest replaced by quantiles of the Pareto law fitted to them (PSIS).

        Vehtari, Simpson, Gelman, Yao and Gabry (2024), as ArviZ has it.
        """
        from arviz_stats.base.array import array_stats  # takes seconds

        smoothed = self.log_weights.copy()
        known = np.isfinite(smoothed)
        with contextlib.suppress(ValueError):  # few draws, or equal ones, have no tail to be smoothed
            smoothed[known], _ = array_stats.psislw(-smoothed[known])  # of log-likelihoods left out, hence the sign
        return smoothed - np.logaddexp.reduce(smoothed)

    def resampled(self, key: PRNGKey, num_draws: int | None = None) -> dict[str, np.ndarray]:
        """Draws of the posterior by site, `(draw, ...)`, as many as there are particles if not given, in random order.

        They are drawn from those of the guide by PSIS-smoothed weights; where the verdict is not `reliable` they are
        no better than the guide's own.
        """
        index = self.ancestors(key, num_draws)
        return {name: values[index] for name, values in self.draws.items()}

    def ancestors(self, key: PRNGKey, num_draws: int | None = None) -> np.ndarray:
        """The numbers of the draws that `resampled` takes, `(num_draws,)`."""
        num = self.num_particles if num_draws is None else whole_number("num_draws", num_draws)
        key, order_key = jax.random.split(check_key(key))
        log_weights, chosen = jnp.asarray(self.smoothed_log_weights(), float), []
        for start in range(0, num, self.num_particles):
            some = systematic(jax.random.fold_in(key, start), log_weights)
            chosen.append(np.asarray(jax.random.permutation(jax.random.fold_in(order_key, start), some)))
        return np.concatenate(chosen)[:num]

    def as_json(self) -> dict[str, Any]:
        """The figures, null for what is not finite."""
        found: dict[str, Any] = {name: figure.as_json() for name, figure in self.figures().items()}
        found |= {"khat": finite_or_none(self.khat), "ess": self.ess, "num_particles": self.num_particles}
        if self.forward is not None:
            found |= {"forward_ess": self.forward.ess, "num_reference_draws": self.forward.num_draws}
            found["unseen"] = self.forward.unseen.as_json()
        return found | {"verdict": self.verdict, "notices": list(self.notices)}

    def __str__(self) -> str:
        side = "" if self.verdict == RELIABLE else AT_LEAST
        first = (
            f"ELBO {self.elbo.plus_minus()}, log evidence {self.log_evidence.plus_minus(side=side)} nats, "
            f"k-hat {khat_words(self.khat)}, ESS {percentage(self.ess / self.num_particles)} "
            f"(n = {self.num_particles:,}): {self.verdict}"
        )
        return "\n".join([first, *([] if self.forward is None else [str(self.forward)]), *self.notices])

    @classmethod
    def of(
        cls,
        pair: Pair,
        log_weights: np.ndarray,
        log_q: np.ndarray,
        draws: dict[str, np.ndarray],
        forward: Forward | None,
    ) -> "Evidence":
        """From what the draws of a guide weigh, and from what a reference says of it."""
        num_particles, found = len(log_weights), LogLikelihood.of_weights(log_weights)
        log_evidence = Estimate(float(found.log_likelihood[0]), float(found.se[0]), num_particles)
        elbo = estimate(log_weights)
        khat, verdict = float(found.khat[0]), str(found.verdict[0])
        if not found.is_exact[0]:  # of equal weights k-hat is rounding alone
            verdict = of_approximation(verdict, khat, num_particles)
        verdict, notices = _judged(verdict, khat, elbo, log_evidence, forward)
        ess = float(found.ess[0])
        return cls(elbo, log_evidence, ess, khat, verdict, notices, log_weights, log_q, draws, forward, pair)


def _judged(
    verdict: str, khat: float, elbo: Estimate, log_evidence: Estimate, forward: Forward | None
) -> tuple[str, tuple[str, ...]]:
    """The verdict with what the reference says, and that in words."""
    notices = []
    if khat > LARGEST_USABLE_KHAT:
        notices.append(
            "k-hat is above 1: the weights show no mean; the guide is too narrow, or, where that stays so of a better "
            "guide, the posterior improper"
        )
    if forward is None:
        return verdict, tuple(notices)
    least = forward.least_unseen()
    missing = -math.log1p(-least) if least < 1 else math.inf
    if missing > max(NORMAL_QUANTILE * float(log_evidence.se), _SMALLEST_LOSS):
        notices.append(
            f"a mode or region is missing from the guide: {percentage(float(forward.unseen.mean))} of the reference "
            "draws lie where none of its draws has been, so that ELBO, log evidence, k-hat and ESS tell nothing of it; "
            f"forward ESS {percentage(forward.ess / forward.num_draws)}, EUBO {forward.eubo.plus_minus()}"
        )
        verdict = UNUSABLE if missing > MOST_HIDDEN or verdict == UNUSABLE else DOUBTFUL
    over = float(elbo.mean) - float(forward.eubo.mean)
    if over > ERRORS * math.hypot(float(elbo.se), float(forward.eubo.se)):
        notices.append("the upper bound lies below the lower one: the reference is not of this posterior")
        verdict = UNUSABLE
    return verdict, tuple(notices)
