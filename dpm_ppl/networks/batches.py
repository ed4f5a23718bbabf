"""A network at every element of a batch: side by side as far as the memory budget allows."""

from typing import Any

import equinox as eqx
import jax

from dpm_ppl._common.memory import peak_bytes, sizes_within_budget
from dpm_ppl._common.types import Array, Batch
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.schedules.steps import Step


def outputs_of_batch(network: AbstractNetwork, x_t: Batch, step: Step) -> Array:
    """Raw outputs `(element, *event_shape, num_outputs)`; `step` is one for all elements or one for each.

    A batch is divided where a gradient through all of it would not fit the budget. What happens inside a part is then
    computed once more for the gradient.
    """
    size = size_of_batch(network, x_t, step, len(x_t))
    if size == len(x_t):
        return _side_by_side(network, x_t, step)
    if step.t.ndim:
        return jax.lax.map(jax.checkpoint(lambda pair: network(*pair)), (x_t, step), batch_size=size)
    return jax.lax.map(jax.checkpoint(lambda x: network(x, step)), x_t, batch_size=size)


def size_of_batch(network: AbstractNetwork, x_t: Batch, step: Step, most: int) -> int:
    """How many elements like those of `x_t`, at most so many, fit the budget with what a gradient needs of them."""

    def bytes_of(size: int) -> int:
        def of_size(leaf: Array) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((size, *leaf.shape[1:]) if leaf.ndim else (), leaf.dtype)

        return peak_bytes(_gradient, network, of_size(x_t), jax.tree.map(of_size, step))

    return sizes_within_budget(bytes_of, (None, most))[0]


def _side_by_side(network: AbstractNetwork, x_t: Batch, step: Step) -> Array:
    return jax.vmap(network, in_axes=(0, 0 if step.t.ndim else None))(x_t, step)


def _gradient(network: AbstractNetwork, x_t: Batch, step: Step) -> Any:
    return eqx.filter_grad(lambda network: _side_by_side(network, x_t, step).sum())(network)
