"""`BumpMLP`: the dense path of the paper's image network. Its layers do not see the step; the readout does."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key, check_sizes, event_sizes
from dpm_ppl._common.types import Datum, Float, PRNGKey
from dpm_ppl.networks.base import AbstractNetwork, flatten, linear_layers
from dpm_ppl.networks.temporal import BumpReadout
from dpm_ppl.schedules.steps import Step


class BumpMLP(AbstractNetwork):
    """Dense tanh layers and a bump readout, the only place where t enters (Sohl-Dickstein et al. 2015, D.2)."""

    layers: list[eqx.nn.Linear]
    readout: BumpReadout
    num_outputs: int = eqx.field(static=True)

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_outputs: int,
        num_steps: int,
        *,
        widths: Sequence[int] = (500, 500, 500, 500),
        num_bumps: int = 10,
        key: PRNGKey,
    ):
        key = check_key(key)
        size = math.prod(event_sizes(event_shape))
        num_outputs, _ = check_sizes(num_outputs=num_outputs, widths=min(widths, default=0))
        sizes = [size, *widths]
        *layer_keys, readout_key = jax.random.split(key, len(widths) + 1)
        self.layers = linear_layers(sizes, layer_keys)
        self.readout = BumpReadout(sizes[-1], size * num_outputs, num_steps, num_bumps=num_bumps, key=readout_key)
        self.num_outputs = num_outputs

    @property
    def num_steps(self) -> int:
        """The T it was made for."""
        return self.readout.num_steps

    def __call__(self, x_t: Datum, step: Step) -> Float[jax.Array, "*event outputs"]:
        features = flatten(x_t)
        for layer in self.layers:
            features = jnp.tanh(layer(features))
        return self.readout(features, step).reshape(*x_t.shape, self.num_outputs)
