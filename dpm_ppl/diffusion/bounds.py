"""The bound K with its named terms, per datum and per step, and the entropy bounds of every reverse step.

Everything here is in nats and for standardised data. The KL + entropy form that the paper prints (eq. 14) is a bound
only where the data's second moments equal those of pi; it is shown as `uncorrected`, and K never uses it.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_key, check_kind, check_sizes
from dpm_ppl._common.chunks import MOST_DATA, MOST_STEPS, chunk_like, chunk_size, in_chunks, keys_of
from dpm_ppl._common.memory import peak_bytes, size_within_budget, sizes_within_budget
from dpm_ppl._common.sums import accurate_sum, map_chunks
from dpm_ppl._common.types import Array, Batch, Cost, Int, PerDatum, PerDatumStep, PerStep, PRNGKey, Uniforms
from dpm_ppl.diffusion.lattice import Lattice
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import (
    divergence_from_null,
    end_divergence,
    fixed_edge,
    learned_edge,
    log_null,
    step_divergences,
)
from dpm_ppl.methods.base import check_scored
from dpm_ppl.schedules.steps import Step


class Bound(eqx.Module):
    """The terms of K(x_0) for every datum, in nats; K = edge - step_divergences.sum() - end_point.

    `step_divergences`, `edge` (for a learned edge) and with them `K` are averages over `num_draws` draws of x_t; the
    rest is exact.
    """

    step_divergences: PerDatumStep
    """E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) for t = 2..T."""
    end_point: PerDatum
    """KL(q(x_T | x_0) || pi)."""
    edge: PerDatum
    """E log p(x_0 | x_1)."""
    entropy_first: PerDatum
    """H_q(X^1 | X^0), of the first noisy step."""
    entropy_last: PerDatum
    """H_q(X^T | X^0), of the last."""
    entropy_stationary: PerDatum
    """H_p(X^T), of pi."""
    L_null: PerDatum
    """log pi(x_0): what a model that has learned nothing would score (paper, table 1)."""
    K: PerDatum
    num_draws: int = eqx.field(static=True)

    @property
    def K_minus_L_null(self) -> PerDatum:
        """What has been learned."""
        return self.K - self.L_null

    @property
    def uncorrected(self) -> PerDatum:
        """The paper's equation 14 as printed. It can exceed the log-likelihood: never score with it (see `K`)."""
        entropies = self.entropy_last - self.entropy_first - self.entropy_stationary
        return entropies - accurate_sum(self.step_divergences, axis=1)


def bound(
    diffusion: StepLaws,
    x_0: Batch | np.ndarray,
    key: PRNGKey,
    *,
    num_draws: int = 1,
    steps_chunk: int | None = None,
    data_chunk: int | None = None,
) -> Bound:
    """K(x_0) and its terms, over all steps, for every datum.

    **Arguments:**

    - `x_0`: standardised data, `(datum, *event_shape)`.
    - `num_draws`: draws of the whole set of x_t over which the terms are averaged. All draws of a datum share out its
      noise between them, so that the error of K falls faster than by the root of their number.
    - `steps_chunk`, `data_chunk`: how many steps of how many data are evaluated side by side; by default at most 100 of
      64, and fewer where the memory budget says so.

    **Raises:** `InputError` for what is no diffusion, and data that do not fit it.
    """
    check_kind("diffusion", diffusion, StepLaws, expected="a Diffusion", remedy="bound(diffusion, x_0, key)")
    key, sizes = check_key(key), check_sizes(num_draws=num_draws, steps_chunk=steps_chunk, data_chunk=data_chunk)
    num_draws, steps_chunk, data_chunk = sizes
    x_0 = check_scored(diffusion, x_0)  # pyright: ignore[reportArgumentType]: always a Diffusion
    draws = jnp.arange(num_draws), num_draws
    steps_chunk, size = _sizes(diffusion, x_0, key, draws, steps_chunk, data_chunk)

    def of_chunk(number: Array, x_0: Array) -> Bound:
        return _bound(diffusion, x_0, number, key, *draws, steps_chunk, size)

    return in_chunks(of_chunk, size, len(x_0), x_0, traced=(diffusion, key))


def scored(
    diffusion: StepLaws,
    x_0: Batch | np.ndarray,
    key: PRNGKey,
    draw: int,
    num_draws: int,
    *,
    steps_chunk: int | None = None,
    data_chunk: int | None = None,
) -> tuple[PerDatum, PerDatum]:
    """K and L_null of draw number `draw` of the `num_draws` that `bound` averages with this key.

    Each draw may be of other noise in x_0. The terms of the steps are not kept.
    """
    draws = jnp.full(1, draw), jnp.asarray(num_draws)
    steps_chunk, size = _sizes(diffusion, x_0, key, draws, steps_chunk, data_chunk)

    def of_chunk(number: Array, x_0: Array) -> tuple[PerDatum, PerDatum]:
        return _scored(diffusion, x_0, number, key, *draws, steps_chunk, size)

    return in_chunks(of_chunk, size, len(x_0), x_0)


def _sizes(
    diffusion: StepLaws,
    x_0: Array | np.ndarray,
    key: PRNGKey,
    draws: tuple[Any, Any],
    steps_chunk: int | None,
    data_chunk: int | None,
) -> tuple[int, int]:
    """How many steps and data are evaluated side by side: those given, else what fits the budget."""

    def bytes_of(steps_chunk: int, data_chunk: int) -> int:
        size = chunk_size(len(x_0), data_chunk)
        number, data = chunk_like(size, x_0)
        return peak_bytes(_bound, diffusion, data, number, key, *draws, steps_chunk, size)

    steps_chunk, data_chunk = sizes_within_budget(bytes_of, (steps_chunk, MOST_STEPS), (data_chunk, MOST_DATA))
    return steps_chunk, chunk_size(len(x_0), data_chunk)


@eqx.filter_jit
def _bound(
    diffusion: StepLaws,
    x_0: Array,
    number: Int[Array, " datum"],
    key: PRNGKey,
    draws: Int[Array, " draws"],
    of_draws: Int[Array, ""] | int,
    steps_chunk: int,
    data_chunk: int,
) -> Bound:
    """The bound of data with these numbers, which decide their noise."""

    def of_datum(inputs: tuple[Array, Array]) -> dict[str, Array]:
        datum, datum_key = inputs
        return _terms_of_datum(diffusion, datum, datum_key, draws, of_draws, steps_chunk)

    terms = jax.lax.map(of_datum, (x_0, keys_of(key, number)), batch_size=min(data_chunk, len(x_0)))
    return Bound(**terms, num_draws=len(draws))


@eqx.filter_jit
def _scored(*arguments: Any) -> tuple[PerDatum, PerDatum]:
    terms = _bound(*arguments)
    return terms.K, terms.L_null


def _terms_of_datum(
    diffusion: StepLaws,
    x_0: Array,
    key: PRNGKey,
    draws: Int[Array, " draws"],
    of_draws: Int[Array, ""] | int,
    steps_chunk: int,
) -> dict[str, Array]:
    repeated = jnp.broadcast_to(x_0, (len(draws), *x_0.shape))
    lattice = Lattice(key, x_0.shape, diffusion.event_dim)

    def points(t: Int[Array, ""]) -> Uniforms:  # the draws of a step one after the other, then those of the next
        return jax.vmap(lattice)(t * of_draws + draws)

    divergences = step_divergences(diffusion, diffusion, repeated, points, chunk_size=steps_chunk).mean(axis=1)
    if diffusion.edge == "fixed":
        edge = fixed_edge(diffusion, x_0)
    else:
        edge = learned_edge(diffusion, repeated, points(diffusion.steps.t[0])).mean()
    end_point = end_divergence(diffusion, x_0)
    return {
        "step_divergences": divergences,
        "end_point": end_point,
        "edge": edge,
        "entropy_first": diffusion.marginal(x_0, diffusion.steps[0]).entropy(),
        "entropy_last": diffusion.marginal(x_0, diffusion.steps[-1]).entropy(),
        "entropy_stationary": diffusion.stationary().entropy(),
        "L_null": log_null(diffusion, x_0),
        "K": edge - accurate_sum(divergences) - end_point,
    }


class EntropyBounds(eqx.Module):
    """Bounds on H_q(X^{t-1} | X^t), the entropy of every reverse step, averaged over data; nats, shape `(T,)`."""

    lower: PerStep
    """Data processing (paper, eq. 36); -inf at t = 1 for continuous data."""
    upper: PerStep
    """Valid for any data: H_q(X^t | X^{t-1}) + E log pi(x_t) - E log pi(x_{t-1})."""
    uncorrected_upper: PerStep
    """The paper's upper bound, H_q(X^t | X^{t-1}) (eq. 24), which holds where E log pi(x_t) is the same for all t."""


def entropy_bounds(
    diffusion: StepLaws, x_0: Batch | np.ndarray, key: PRNGKey, *, steps_chunk: int | None = None
) -> EntropyBounds:
    """Entropy bounds of the reverse steps t = 1..T for these data, `(datum, *event_shape)` (paper, eq. 24 and 36).

    Exact but for H_q(X^t | X^{t-1}) of kernels whose step entropy depends on x_{t-1}: one draw per datum and step.
    `steps_chunk` steps are evaluated side by side, by default at most 100 and what the memory budget allows.

    **Raises:** `InputError` for data that do not fit the diffusion.
    """
    (steps_chunk,) = check_sizes(steps_chunk=steps_chunk)
    x_0 = check_scored(diffusion, x_0)  # pyright: ignore[reportArgumentType]: always a Diffusion
    given = diffusion, jnp.asarray(x_0), check_key(key)
    return _entropy_bounds(*given, size_within_budget(_entropy_bounds, *given, given=steps_chunk, most=MOST_STEPS))


@eqx.filter_jit
def _entropy_bounds(diffusion: StepLaws, x_0: Array, key: PRNGKey, steps_chunk: int) -> EntropyBounds:
    steps = diffusion.steps

    def of_step(inputs: tuple[Step, Array]) -> tuple[Cost, Cost, Cost]:
        step, previous = inputs
        before = jax.tree.map(lambda leaf: leaf[jnp.maximum(step.t - 2, 0)], steps)
        x_prev = jnp.where(step.t == 1, x_0, diffusion.marginal(x_0, before).sample(previous))
        marginal = diffusion.marginal(x_0, step)
        entropy = marginal.entropy()
        log_pi = -entropy - divergence_from_null(diffusion, x_0, step)
        return diffusion.transition(x_prev, step).entropy().mean(), entropy.mean(), log_pi.mean()

    keys = jax.random.split(key, len(steps))
    forward, entropy, log_pi = map_chunks(of_step, (steps, keys), steps_chunk)
    entropy_prev = jnp.concatenate([_point_entropy(diffusion), entropy[:-1]])
    log_pi_prev = jnp.concatenate([log_null(diffusion, x_0).mean()[None], log_pi[:-1]])
    return EntropyBounds(
        lower=forward + entropy_prev - entropy,
        upper=forward + log_pi - log_pi_prev,
        uncorrected_upper=forward,
    )


def _point_entropy(diffusion: StepLaws) -> Array:
    """H_q(X^0 | X^0): a known datum has entropy 0 if discrete and -inf if continuous."""
    discrete = bool(getattr(diffusion.stationary().support, "is_discrete", False))
    return jnp.full(1, 0.0 if discrete else -jnp.inf)
