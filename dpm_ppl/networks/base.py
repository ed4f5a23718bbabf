"""`AbstractNetwork`: a map from one noisy datum and its step to the raw outputs of a kernel; and parts of such maps."""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Array, Datum, Float, PRNGKey
from dpm_ppl.schedules.steps import Step


class AbstractNetwork(eqx.Module):
    """The function a diffusion learns, written for one datum; callers `vmap` it.

    A network starts at zero outputs, which every kernel reads as its own forward law. NumPyro trains every floating
    array of a module, so numbers that stay fixed are static fields.
    """

    @abc.abstractmethod
    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        """The kernel's raw outputs for each coordinate of `x_t`, shape `(*event_shape, num_outputs)`."""


class AbstractOuterNetwork(AbstractNetwork):
    """A network that makes its outputs of those of another, for the one readout that `made_for` names."""

    network: eqx.AbstractVar[AbstractNetwork]
    made_for: eqx.AbstractClassVar[str]

    @property
    def num_steps(self) -> int | None:
        """The T that the inner network was made for, None where it does not say."""
        return getattr(self.network, "num_steps", None)


def flatten(x_t: Datum) -> Float[Array, " coordinates"]:
    """The coordinates of one datum as one floating vector."""
    return jnp.ravel(x_t).astype(float)


def linear_layers(sizes: Sequence[int], keys: Sequence[PRNGKey] | Array) -> list[eqx.nn.Linear]:
    """Linear layers from each size to the next, one key for each."""
    sizes = [int(size) for size in sizes]
    shapes = zip(sizes[:-1], sizes[1:], keys, strict=True)
    return [eqx.nn.Linear(inputs, units, key=key) for inputs, units, key in shapes]


def zero_linear(num_inputs: int, num_outputs: int, *, key: PRNGKey) -> eqx.nn.Linear:
    """A linear layer that starts at zero."""
    return jax.tree.map(jnp.zeros_like, eqx.nn.Linear(num_inputs, num_outputs, key=key))
