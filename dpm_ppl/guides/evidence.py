"""`evidence`: the bound of any NumPyro guide, the log evidence by importance weights, and how far to trust them."""

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.autoguide import AutoDelta, AutoGuide, AutoGuideList, AutoLaplaceApproximation

from dpm_ppl._common.checks import check_key, check_kind, check_known, check_sizes, whole_number
from dpm_ppl._common.chunks import chunk_like, chunk_size, in_chunks
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.memory import peak_bytes, sizes_within_budget
from dpm_ppl._common.numpyro_seam import set_up
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl._common.wording import AT_LEAST, khat_words, percentage, short_repr
from dpm_ppl.estimates.standard_errors import Estimate, estimate, finite_or_none
from dpm_ppl.guides.forward import ERRORS, Forward
from dpm_ppl.guides.pair import Drawn, Pair, Trace, laplace
from dpm_ppl.guides.reference import as_reference, check_placeable, reference_log_weights
from dpm_ppl.guides.refusals import check_guide, check_model, check_params, running_programs
from dpm_ppl.likelihood.diagnostics import (
    DOUBTFUL,
    LARGEST_USABLE_KHAT,
    MOST_HIDDEN,
    RELIABLE,
    UNUSABLE,
    of_approximation,
)
from dpm_ppl.likelihood.result import LogLikelihood
from dpm_ppl.likelihood.running import MOST_DRAWS, RunningWeights
from dpm_ppl.likelihood.tails import NORMAL_QUANTILE
from dpm_ppl.smc.resampling import systematic

_MOST_PARTICLES = 1024


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
        from arviz_stats.base import array_stats  # takes seconds

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


def evidence(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    params: Mapping[str, Any],
    *args: Any,
    key: PRNGKey,
    num_particles: int = 10_000,
    reference: Mapping[str, Any] | None = None,
    particles_chunk: int | None = None,
    **kwargs: Any,
) -> Evidence:
    """ELBO, log evidence, k-hat and effective sample size of a fitted guide, and upper bounds where draws are at hand.

    Any guide that `Trace_ELBO` takes: NumPyro's own (a Laplace guide by its normal law), programs, guides with
    auxiliary sites and factors. The draws and weights of a key are those of `Trace_ELBO` and `psis_diagnostic`;
    particle i is the same however many there are and in whatever chunks. Calls with other numbers in `params`, `args`
    and `kwargs`, of the same shapes, compile nothing anew.

    **Arguments:**

    - `params`: values of all param sites of model and guide, as `SVIRunResult.params` has them.
    - `args`, `kwargs`: what model and guide are called with, all data included.
    - `reference`: draws of the posterior from NUTS or elsewhere, `(draw, ...)` or `(chain, draw, ...)` by site, as
      `MCMC.get_samples` gives them. They bound the evidence from above, and see what the guide has lost.
    - `particles_chunk`: how many are looked at side by side; by default at most 1,024, and fewer where the memory
      budget says so. The draws themselves are kept.

    **Raises:** `InputError` for a model without latents or with latents that the guide does not draw, subsampled
    plates, point masses, parameters or draws of something else, and where a log-weight is NaN or +inf: the evidence is
    not finite then.
    """
    num_particles, particles_chunk = check_sizes(num_particles=num_particles, particles_chunk=particles_chunk)
    whole_number("num_particles", num_particles, most=MOST_DRAWS, expected=f"at most {MOST_DRAWS:,}", remedy="use fewer")
    check_known(params=params, args=args, kwargs=kwargs, key=key, reference=reference)
    key = check_key(key)
    pair, *traces = _prepared(model, guide, params, args, kwargs, key)
    given = None
    if reference is not None:
        given = as_reference(reference, *traces)
        check_placeable(pair, *traces, key)

    drawn = _drawn(pair, key, num_particles, particles_chunk)
    log_weights = np.asarray(drawn.log_weight, np.float64)
    running = RunningWeights(1, seed=int(np.ravel(jax.random.key_data(key))[-1]))
    running.add(log_weights[None])
    found = LogLikelihood.of([running], 1)
    forward = None
    if given is not None:
        of_reference = reference_log_weights(pair, given, jax.random.fold_in(key, num_particles), particles_chunk)
        forward = Forward.of(of_reference, given.num_chains, float(log_weights.max()))
    log_evidence = Estimate(float(found.log_likelihood[0]), float(found.se[0]), num_particles)
    elbo = estimate(log_weights)
    khat, verdict = float(found.khat[0]), str(found.verdict[0])
    if not found.is_exact[0]:
        verdict = of_approximation(verdict, khat, num_particles)
    verdict, notices = _judged(verdict, khat, elbo, log_evidence, forward)
    return Evidence(
        elbo=elbo,
        log_evidence=log_evidence,
        ess=float(found.ess[0]),
        khat=khat,
        verdict=verdict,
        notices=notices,
        log_weights=log_weights,
        log_q=np.asarray(drawn.log_q, np.float64),
        draws={name: np.asarray(values) for name, values in drawn.sites.items()},
        forward=forward,
        pair=pair,
    )


def _prepared(model: Any, guide: Any, params: Any, args: Any, kwargs: Any, key: PRNGKey) -> tuple[Pair, Trace, Trace]:
    """The pair with arrays of JAX, and the traces of both; refused where it has no evidence to give."""
    for name, program in (("model", model), ("guide", guide)):
        check_kind(name, program, Callable, expected="a NumPyro program", remedy="pass the function")
    remedy = "for example params=svi_result.params"
    check_kind("params", params, Mapping, expected="values by site name", remedy=remedy)
    params, args, kwargs = jax.tree.map(_as_jax, (dict(params), args, kwargs))
    pair = Pair(model, guide, params, args, kwargs)
    check_model(pair, key)
    if isinstance(guide, AutoGuide):
        _set_up(guide, key, args, kwargs)
    check_params(pair, key)
    if isinstance(guide, AutoLaplaceApproximation):
        pair = pair._replace(guide=laplace(guide, params))
    return pair, *check_guide(pair, key)


def _as_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


def _set_up(guide: AutoGuide, key: PRNGKey, args: Any, kwargs: Any) -> None:
    if isinstance(guide, AutoDelta) or (isinstance(guide, AutoGuideList) and any(isinstance(p, AutoDelta) for p in guide)):
        remedy = "use AutoLaplaceApproximation, whose law around the mode has one"
        raise InputError("guide", expected="a law with a density", got="AutoDelta, a point mass", remedy=remedy)
    with running_programs("guide"):
        set_up(guide, key, args, kwargs)


def _drawn(pair: Pair, key: PRNGKey, num: int, particles_chunk: int | None) -> Drawn:
    most = chunk_size(num, _MOST_PARTICLES)

    def bytes_of(chunk: int) -> int:
        return peak_bytes(_draws, pair, key, *chunk_like(chunk_size(num, chunk)))

    size = chunk_size(num, *sizes_within_budget(bytes_of, (particles_chunk, most)))

    def of_chunk(number: Array) -> Drawn:
        drawn = _draws(pair, key, number)
        log_weights = np.asarray(drawn.log_weight)
        failed = np.isnan(log_weights) | np.isposinf(log_weights)
        if failed.any():
            raise InputError(
                "model and guide",
                expected="a finite evidence",
                got=f"log-weights that are NaN or +inf for {failed.sum():,} of {len(failed):,} draws",
                remedy="let priors be proper and the guide stay where both have a density; fit it anew where it failed",
            )
        return drawn

    drawn = in_chunks(of_chunk, size, num)
    if np.isneginf(np.asarray(drawn.log_weight)).all():
        raise InputError(
            "model and guide",
            expected="a finite evidence",
            got=f"weights of 0 for all {num:,} draws",
            remedy="see whether the data can come from the model, and the guide draws where it has a density",
        )
    return drawn


@eqx.filter_jit
def _draws(pair: Pair, key: PRNGKey, number: Array) -> Drawn:
    return jax.vmap(lambda index: pair.weigh(jax.random.fold_in(key, index)))(number)


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
    if missing > max(NORMAL_QUANTILE * float(log_evidence.se), 1e-2):
        notices.append(
            f"a mode or region is missing from the guide: {percentage(float(forward.unseen.mean))} of the reference "
            f"draws lie where none of its draws has been, so that ELBO, log evidence, k-hat and ESS tell nothing of it; "
            f"forward ESS {percentage(forward.ess / forward.num_draws)}, EUBO {forward.eubo.plus_minus()}"
        )
        verdict = UNUSABLE if missing > MOST_HIDDEN or verdict == UNUSABLE else DOUBTFUL
    over = float(elbo.mean) - float(forward.eubo.mean)
    if over > ERRORS * math.hypot(float(elbo.se), float(forward.eubo.se)):
        notices.append("the upper bound lies below the lower one: the reference is not of this posterior")
        verdict = UNUSABLE
    return verdict, tuple(notices)
