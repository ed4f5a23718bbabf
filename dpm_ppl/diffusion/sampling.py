"""Draws from the reverse chain: of x_0, of whole paths, and one pass down it for whatever is to be seen there."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key, whole_number
from dpm_ppl._common.chunks import chunk_like, chunk_size, in_chunks, keys_of
from dpm_ppl._common.memory import peak_bytes, sizes_within_budget
from dpm_ppl._common.types import Array, Batch, Datum, Int, PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.schedules.steps import Step

_MOST_DRAWS = 256
"""Made side by side: with more, each of them takes no less time."""


def sample(diffusion: StepLaws, key: PRNGKey, num_samples: int) -> Batch:
    """Draws of x_0 from the model, shape `(num_samples, *event_shape)`, by ancestral sampling down to the last step.

    Draw number i is the same however many there are. They are made in chunks that fit the budget of memory, which does
    not grow with T. The draw from p(x_0 | x_1) is part of it: stopping at x_1 would be another model.

    **Raises:** `InputError` where the key is no single key, or the number no positive integer.
    """
    key, num_samples = check_key(key), whole_number("num_samples", num_samples)

    def bytes_of(size: int) -> int:
        return peak_bytes(_draws, diffusion, key, *chunk_like(size), size)

    size = chunk_size(num_samples, *sizes_within_budget(bytes_of, (None, _MOST_DRAWS)))

    def draws(number: Array) -> Batch:
        return _draws(diffusion, key, number, size)

    return in_chunks(draws, size, num_samples, traced=(diffusion, key))


def sample_path(diffusion: StepLaws, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Batch:
    """Draws of x_1 ... x_T from the reverse chain, shape `(T, *sample_shape, *event_shape)`; `sample` goes on to x_0.

    **Raises:** `InputError` where the key is no single key.
    """
    return _paths(diffusion, check_key(key), tuple(sample_shape))


@eqx.filter_jit
def _draws(diffusion: StepLaws, key: PRNGKey, number: Int[Array, " draw"], size: int) -> Batch:
    """The draws of x_0 with these numbers, `size` of them side by side."""
    keys = keys_of(key, number)
    return jax.lax.map(lambda key: _draw(diffusion, key), keys, batch_size=min(size, len(keys)))


@eqx.filter_jit
def _paths(diffusion: StepLaws, key: PRNGKey, sample_shape: tuple[int, ...]) -> Batch:
    keys = keys_of(key, jnp.arange(math.prod(sample_shape)))
    paths: Any = jax.vmap(lambda key: _path(diffusion, key), out_axes=1)(keys)
    return paths.reshape(diffusion.num_steps, *sample_shape, *diffusion.event_shape)


def last_of_paths(diffusion: StepLaws, key: PRNGKey, x_1: Batch) -> Batch:
    """The draws of x_0 of `sample`, from the x_1 of `sample_path` with the same key; both `(draw, *event_shape)`."""
    return jax.vmap(lambda key, x_1: last_step(diffusion, key, x_1))(keys_of(key, jnp.arange(len(x_1))), x_1)


def _draw(diffusion: StepLaws, key: PRNGKey) -> Datum:
    x_1, *_ = descend(diffusion, key, lambda none, x_prev, x_t, step: (none, None), None)
    return last_step(diffusion, key, x_1)


def _path(diffusion: StepLaws, key: PRNGKey) -> Array:
    x_1, _, above = descend(diffusion, key, lambda none, x_prev, x_t, step: (none, x_t), None)
    return jnp.concatenate([x_1[None], above])


def descend[S, V](
    diffusion: StepLaws,
    key: PRNGKey,
    visit: Callable[[S, Batch, Batch, Step], tuple[S, V]],
    state: S,
    sample_shape: tuple[int, ...] = (),
) -> tuple[Batch, S, V]:
    """Down the reverse chain from x_T to x_1, both `(*sample_shape, *event_shape)`; `last_step` goes on to x_0.

    `visit(state, x_prev, x_t, step)` sees the steps T ... 2 and gives the next state and what to keep of the step.
    Returned are x_1, the last state, and what was kept, stacked in the order of t.
    """
    x_T = diffusion.stationary().sample(jax.random.fold_in(key, diffusion.num_steps + 1), sample_shape)

    def backward(carry: tuple[Array, S], step: Step) -> tuple[tuple[Array, S], V]:
        x_t, state = carry
        x_prev = diffusion.reverse(x_t, step).sample(jax.random.fold_in(key, step.t))
        state, kept = visit(state, x_prev, x_t, step)
        return (x_prev, state), kept

    (x_1, state), kept = jax.lax.scan(backward, (x_T, state), diffusion.steps[1:], reverse=True)
    return x_1, state, kept


def last_step(diffusion: StepLaws, key: PRNGKey, x_1: Batch) -> Batch:
    """x_0 of the x_1 to which `descend` came with this key."""
    return diffusion.edge_law(x_1).sample(jax.random.fold_in(key, 0))


def dtype_of_draws(diffusion: StepLaws):
    """The dtype that x_1 ... x_T have."""
    return jax.eval_shape(diffusion.stationary().sample, jax.random.key(0)).dtype
