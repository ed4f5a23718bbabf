"""Multilayer perceptrons: `SigmoidMLP`, the paper's, and `TimeMLP`, which reads the step as an input."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key, check_sizes, event_sizes
from dpm_ppl._common.types import Array, Datum, Float, PRNGKey
from dpm_ppl.networks.base import AbstractNetwork, flatten, linear_layers, zero_linear
from dpm_ppl.networks.temporal import SmoothReadouts, StepReadouts, time_features
from dpm_ppl.schedules.steps import Step


class SigmoidMLP(AbstractNetwork):
    """Sigmoid units with a linear readout for each step (Sohl-Dickstein et al. 2015, D.1.2).

    The default widths are those of the paper's heartbeat network. A sigmoid has slope 1/4 and values around 1/2:
    weights start four times as large as usual and biases take the 1/2 away, or what tells data apart would fade.
    """

    layers: list[eqx.nn.Linear]
    readouts: StepReadouts | SmoothReadouts
    num_outputs: int = eqx.field(static=True)

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_outputs: int,
        num_steps: int,
        *,
        widths: Sequence[int] = (50, 50, 50),
        key: PRNGKey,
    ):
        key = check_key(key)
        size = math.prod(event_sizes(event_shape))
        num_outputs, num_steps, _ = check_sizes(
            num_outputs=num_outputs, num_steps=num_steps, widths=min(widths, default=0)
        )
        sizes = [size, *widths]
        self.layers = [_for_sigmoids(one) for one in linear_layers(sizes, jax.random.split(key, len(widths)))]
        self.readouts = StepReadouts(sizes[-1], size * num_outputs, num_steps)
        self.num_outputs = num_outputs

    @property
    def num_steps(self) -> int:
        """The T it was made for."""
        return self.readouts.num_steps

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        features = flatten(x_t)
        for layer in self.layers:
            features = jax.nn.sigmoid(layer(features))
        return self.readouts(features, step).reshape(*x_t.shape, self.num_outputs)


def _for_sigmoids(layer: eqx.nn.Linear) -> eqx.nn.Linear:
    weight = 4 * layer.weight
    return eqx.tree_at(lambda one: (one.weight, one.bias), layer, (weight, -0.5 * weight.sum(axis=1)))


class ResidualBlock(eqx.Module):
    """h + W_2 silu(W_1 h + V e): one hidden layer, shifted by the embedding of time."""

    inner: eqx.nn.Linear
    shift: eqx.nn.Linear
    outer: eqx.nn.Linear

    def __init__(self, width: int, *, key: PRNGKey):
        inner, shift, outer = jax.random.split(key, 3)
        self.inner = eqx.nn.Linear(width, width, key=inner)
        self.shift = eqx.nn.Linear(width, width, use_bias=False, key=shift)
        self.outer = eqx.nn.Linear(width, width, key=outer)

    def __call__(self, hidden: Float[Array, " width"], time: Float[Array, " width"]) -> Float[Array, " width"]:
        return hidden + self.outer(jax.nn.silu(self.inner(hidden) + self.shift(time)))


class TimeMLP(AbstractNetwork):
    """Residual perceptron that reads the step through a smooth embedding of time, and starts at zero outputs.

    With `fourier_frequencies` (radians per unit of standardised data) it also reads sin(f x) and cos(f x) of every
    coordinate, without which a small network is slow to learn structure much finer than the data's spread.
    """

    embed_x: eqx.nn.Linear
    embed_time: eqx.nn.Linear
    blocks: list[ResidualBlock]
    readout: eqx.nn.Linear
    num_outputs: int = eqx.field(static=True)
    num_steps: int = eqx.field(static=True)
    fourier_frequencies: tuple[float, ...] = eqx.field(static=True)
    num_time_frequencies: int = eqx.field(static=True)

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_outputs: int,
        num_steps: int,
        *,
        width: int = 128,
        depth: int = 3,
        fourier_frequencies: Sequence[float] = (),
        num_time_frequencies: int = 8,
        key: PRNGKey,
    ):
        key = check_key(key)
        size = math.prod(event_sizes(event_shape))
        num_outputs, num_steps, width, depth, num_time_frequencies = check_sizes(
            num_outputs=num_outputs,
            num_steps=num_steps,
            width=width,
            depth=depth,
            num_time_frequencies=num_time_frequencies,
        )
        x_key, time_key, readout_key, *block_keys = jax.random.split(key, 3 + depth)
        self.embed_x = eqx.nn.Linear(size * (1 + 2 * len(fourier_frequencies)), width, key=x_key)
        self.embed_time = eqx.nn.Linear(4 * num_time_frequencies + 2, width, key=time_key)
        self.blocks = [ResidualBlock(width, key=block_key) for block_key in block_keys]
        self.readout = zero_linear(width, size * num_outputs, key=readout_key)
        self.num_outputs = num_outputs
        self.num_steps = num_steps
        self.fourier_frequencies = tuple(float(frequency) for frequency in fourier_frequencies)
        self.num_time_frequencies = num_time_frequencies

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        x = flatten(x_t)
        angles = jnp.outer(jnp.asarray(self.fourier_frequencies, x.dtype), x).ravel()
        hidden = self.embed_x(jnp.concatenate([x, jnp.sin(angles), jnp.cos(angles)]))
        time = jax.nn.silu(self.embed_time(time_features(step, self.num_steps, self.num_time_frequencies)))
        for block in self.blocks:
            hidden = block(hidden, time)
        return self.readout(jax.nn.silu(hidden)).reshape(*x_t.shape, self.num_outputs)
