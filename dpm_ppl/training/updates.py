"""One update of any NumPyro `SVI`, the state it moves, and many updates in one compiled loop.

`init` and `step` are pure: a user may own the loop. `fit` in `training.loop` is what most people want, around the
same `step`.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import Partial
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from dpm_ppl._common.checks import check_key
from dpm_ppl._common.numpyro_seam import dropping_what_is_not_finite, is_set_up_by_trace, num_kept
from dpm_ppl.training.devices import kept_whole, shared_out


class TrainingState(NamedTuple):
    """Where a training stands; a pytree of arrays.

    `params` are the constrained parameters averaged over updates (exponentially, debiased), by site name.
    `num_updates` counts every update begun, `num_skipped` those of them that were dropped as not finite and
    `num_skipped_in_a_row` the last unbroken run of these. `data_key` decides the batches and their noise. `best` are
    the `params` of the best evaluation, None where these are not kept.
    """

    svi_state: SVIState
    params: dict[str, Any]
    num_updates: jax.Array
    num_skipped: jax.Array
    num_skipped_in_a_row: jax.Array
    data_key: jax.Array
    best: dict[str, Any] | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The parameters to go on with: the best where they are kept, else the newest average."""
        return self.params if self.best is None else self.best


def init(svi: SVI, key: jax.Array, batch: Any, *, keep_best: bool = False) -> TrainingState:
    """The state before the first update. Calls `svi.init`, which also a state restored from a file needs first."""
    svi_key, data_key = jax.random.split(check_key(key))
    svi_state = _init_program(svi)(svi_key, batch)
    if is_set_up_by_trace(svi):  # a constraint made of arrays
        svi_state = svi.init(svi_key, batch)
    svi_state = jax.tree.map(_strongly_typed, svi_state)
    # Copies, because a state whose leaves share a buffer cannot be donated.
    params = jax.tree.map(jnp.copy, svi.get_params(svi_state))
    best = jax.tree.map(jnp.copy, params) if keep_best else None
    return TrainingState(svi_state, params, zero(), zero(), zero(), data_key, best)


def step(svi: SVI, state: TrainingState, batch: Any, *, averaging: float = 0.999) -> tuple[TrainingState, jax.Array]:
    """One `svi.update`, dropped where it is not finite; returns the state and the loss, summed over the batch (nats).

    An update is dropped where the loss or the norm of the gradient is not finite: parameters, optimiser and mutable
    state stay as they were, the random key moves on, and the counts tell. The average gives the newest of n kept
    parameters the weight (1 - averaging) / (1 - averaging^n): 0 averages nothing.
    """
    old = state.svi_state
    new, loss = dropping_what_is_not_finite(svi).update(old, batch)
    kept = num_kept(new) != num_kept(old)
    mutable_state = jax.tree.map(partial(jnp.where, kept), new.mutable_state, old.mutable_state)
    svi_state = new._replace(mutable_state=mutable_state)
    num_updates = state.num_updates + 1
    num_skipped = state.num_skipped + ~kept
    log_averaging = math.log(averaging) if averaging > 0 else -math.inf
    weight = jnp.where(kept, (averaging - 1.0) / jnp.expm1((num_updates - num_skipped) * log_averaging), 0.0)
    params = jax.tree.map(
        lambda average, value: average + weight.astype(average.dtype) * (value - average),
        state.params,
        svi.get_params(svi_state),
    )
    num_skipped_in_a_row = jnp.where(kept, 0, state.num_skipped_in_a_row + 1)
    counts = num_updates, num_skipped, num_skipped_in_a_row
    return TrainingState(svi_state, params, *counts, state.data_key, state.best), loss


# The compiled programs of the last few fits are kept, so that calling `fit` again compiles nothing.
@lru_cache(maxsize=8)
def _init_program(svi: SVI) -> Callable[..., SVIState]:
    return jax.jit(svi.init)


@lru_cache(maxsize=8)
def chunk_program(svi: SVI, averaging: float) -> Callable[..., Any]:
    """The compiled loop over the updates of a chunk."""

    @partial(jax.jit, donate_argnums=0)
    def run_chunk(state: TrainingState, rows: jax.Array, length: jax.Array, draw: Partial) -> tuple[Any, ...]:
        """The state after `length` updates and whether it is finite; of each, its loss and run of skipped updates.

        `draw` makes a batch of its raw rows.
        """

        def update(place, carry):
            state, losses, in_a_row = carry
            batch = draw(rows[place], jax.random.fold_in(state.data_key, state.num_updates))
            # Without it XLA makes the batch anew, and what follows from it, wherever an update reads it.
            batch = jax.lax.optimization_barrier(batch)
            state, loss = step(svi, state, shared_out(batch), averaging=averaging)
            state, loss = kept_whole((state, loss))
            return state, losses.at[place].set(loss), in_a_row.at[place].set(state.num_skipped_in_a_row)

        reports = jnp.zeros(rows.shape[0]), jnp.zeros(rows.shape[0], jnp.int32)
        state, losses, in_a_row = jax.lax.fori_loop(0, length, update, (state, *reports))
        parameters = svi.optim.get_params(state.svi_state.optim_state), state.params
        return state, jnp.isfinite(optax.tree.norm(parameters)), losses, in_a_row

    return run_chunk


def zero() -> jax.Array:
    """A count before the first."""
    return jnp.zeros((), jnp.int32)


def _strongly_typed(leaf: jax.Array) -> jax.Array:
    """The same number as it comes back from a file, so that a resumed fit runs the program already compiled."""
    return jax.lax.convert_element_type(leaf, leaf.dtype) if getattr(leaf, "weak_type", False) else leaf
