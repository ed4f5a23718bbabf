"""How many particles a twist leads side by side: as many as the memory budget allows, the others after them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.memory import memory_budget, size_within_budget
from dpm_ppl._common.types import Array, Batch
from dpm_ppl.diffusion.sampling import dtype_of_draws
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt
from dpm_ppl.schedules.steps import Step

_UNLIMITED = 2**62


def within_budget(diffusion: StepLaws, twist: AbstractTwist, num_particles: int) -> int:
    """How many particles, at most so many, fit the budget with what a step needs for them."""
    dtype = dtype_of_draws(diffusion)
    return size_within_budget(_moves, diffusion, twist, dtype, given=None, most=num_particles)


def _moves(diffusion: StepLaws, twist: AbstractTwist, dtype: Any, num: int) -> Any:
    """A move of so many particles, for what it takes."""
    x_t, step = jnp.zeros((num, *diffusion.event_shape), dtype), jax.tree.map(lambda leaf: leaf[-1], diffusion.steps)
    return _led(diffusion, twist, x_t, step), _led(diffusion, twist, x_t, None)


def _led(diffusion: StepLaws, twist: AbstractTwist, x_t: Batch, step: Step | None) -> AbstractTilt:
    """Of particles that fit: a network would divide them again, by what gradients for its parameters take."""
    with memory_budget(_UNLIMITED):
        return twist.finish(diffusion, x_t) if step is None else twist.step(diffusion, x_t, step)


def led(diffusion: StepLaws, twist: AbstractTwist, x_t: Batch, step: Step | None, side_by_side: int) -> AbstractTilt:
    """`twist.step` of all particles, or `twist.finish` without a step, so many of them at a time."""

    def of_block(x_t: Batch) -> AbstractTilt:
        return _led(diffusion, twist, x_t, step)

    num = len(x_t)
    if side_by_side >= num:
        return of_block(x_t)
    num_blocks = -(-num // side_by_side)
    filled = x_t[jnp.minimum(jnp.arange(num_blocks * side_by_side), num - 1)]  # the last block is filled up
    blocks = jax.lax.map(of_block, filled.reshape(num_blocks, side_by_side, *x_t.shape[1:]))

    def joined(whole: Any, block: Array) -> Array:
        is_shared = block.shape[1:] == whole.shape  # by all particles, as the states of a chain of bits are
        return block[0] if is_shared else block.reshape(-1, *block.shape[2:])[:num]

    whole = eqx.filter_eval_shape(of_block, x_t)
    leaves = map(joined, jax.tree.leaves(whole), jax.tree.leaves(blocks))
    return jax.tree.unflatten(jax.tree.structure(whole), leaves)
