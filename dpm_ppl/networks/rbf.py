"""`RBFNetwork`: the paper's network for the swiss roll."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key, check_sizes, event_sizes
from dpm_ppl._common.types import Array, Datum, Float, PRNGKey
from dpm_ppl.networks.base import AbstractNetwork, flatten
from dpm_ppl.networks.temporal import StepReadouts
from dpm_ppl.schedules.steps import Step


class RBFNetwork(AbstractNetwork):
    """Normalised radial basis functions with a linear readout for each step (Sohl-Dickstein et al. 2015, D.1.1).

    Centres and widths are trained and shared by all steps. The centres start on a grid over [-1.6, 1.6] in every
    coordinate where `num_centres` allows one, as wide as half of it, and at standard normal draws otherwise.
    """

    centres: Float[Array, "centres coordinates"]
    log_widths: Float[Array, " centres"]
    readouts: StepReadouts
    num_outputs: int = eqx.field(static=True)

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_outputs: int,
        num_steps: int,
        *,
        num_centres: int = 16,
        key: PRNGKey,
    ):
        key = check_key(key)
        size = math.prod(event_sizes(event_shape))
        num_outputs, num_steps, num_centres = check_sizes(
            num_outputs=num_outputs, num_steps=num_steps, num_centres=num_centres
        )
        side = round(num_centres ** (1 / size))
        if side > 1 and side**size == num_centres:
            axes = jnp.meshgrid(*[jnp.linspace(-1.6, 1.6, side)] * size)
            self.centres = jnp.stack(axes, axis=-1).reshape(num_centres, size)
            width = 1.6
        else:
            self.centres = jax.random.normal(key, (num_centres, size))
            width = size**0.5
        self.log_widths = jnp.full(num_centres, jnp.log(width))
        self.readouts = StepReadouts(num_centres, size * num_outputs, num_steps)
        self.num_outputs = num_outputs

    @property
    def num_steps(self) -> int:
        """The T it was made for."""
        return self.readouts.num_steps

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        return self.readouts(self.units(flatten(x_t)), step).reshape(*x_t.shape, self.num_outputs)

    def units(self, x: Float[Array, " coordinates"]) -> Float[Array, " centres"]:
        """The basis functions at a point, which sum to 1."""
        distances = jnp.square(x[None] - self.centres).sum(axis=-1)
        return jax.nn.softmax(-0.5 * distances * jnp.exp(-2.0 * self.log_widths))
