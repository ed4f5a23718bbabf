"""What every network is: a map from one noisy datum and its step to the raw outputs of a kernel."""

import abc
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._errors import InputError
from dpm_ppl._types import Array, Datum, Float, PRNGKey
from dpm_ppl.steps import Step


class AbstractNetwork(eqx.Module):
    """The function a diffusion learns, written for one datum; callers `vmap` it.

    A network starts at zero outputs, which every kernel reads as its own forward law. NumPyro trains every floating
    array of a module, so numbers that stay fixed are static fields.
    """

    @abc.abstractmethod
    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        """The kernel's raw outputs for each coordinate of `x_t`, shape `(*event_shape, num_outputs)`."""


def flatten(x_t: Datum) -> Float[Array, " coordinates"]:
    """The coordinates of one datum as one floating vector."""
    return jnp.ravel(x_t).astype(float)


def linear_layers(sizes: Sequence[int], keys: Sequence[PRNGKey] | Array) -> list[eqx.nn.Linear]:
    """Linear layers from each size to the next, one key for each."""
    shapes = zip(sizes[:-1], sizes[1:], keys, strict=True)
    return [eqx.nn.Linear(inputs, units, key=key) for inputs, units, key in shapes]


def zero_linear(num_inputs: int, num_outputs: int, *, key: PRNGKey) -> eqx.nn.Linear:
    """A linear layer that starts at zero."""
    return jax.tree.map(jnp.zeros_like, eqx.nn.Linear(num_inputs, num_outputs, key=key))


def check_sizes(event_shape: tuple[int, ...] = (), **sizes: int) -> int:
    """The number of coordinates of `event_shape`, once all sizes are known to be positive whole numbers.

    **Raises:** `InputError` naming the first size that is not.
    """
    if not isinstance(event_shape, tuple):
        raise InputError(
            "event_shape",
            expected="a tuple, the shape of one datum",
            got=repr(event_shape),
            remedy="write (2,) for points in the plane",
        )
    for name, size in [("event_shape", size) for size in event_shape] + list(sizes.items()):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(
                name, expected="whole numbers of at least 1", got=repr(size), remedy="give a positive size"
            )
    return math.prod(event_shape)
