"""A twist whose moves a network corrects: what variational inference trains, a reverse chain that has read y."""

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Array, Batch, Datum, Float
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.networks.base import AbstractNetwork, flatten
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt
from dpm_ppl.schedules.steps import Step


class LearnedTwist(AbstractTwist):
    """The moves of `twist`, corrected at every step by a network of x_t and of `features` of the observation.

    The network takes both as one vector; what it says of the features is not used. It starts at zero outputs, and then
    these are the moves of `twist`. Where that ends exactly, its last move is left as it is.
    """

    twist: AbstractTwist
    network: AbstractNetwork
    features: Float[Array, " feature"]

    def __init__(self, twist: AbstractTwist, network: AbstractNetwork, features: Float[Array, " feature"]):
        self.twist, self.network, self.features = twist, network, features

    @property
    def ends_exactly(self) -> bool:
        return self.twist.ends_exactly

    def start(self, diffusion: StepLaws, num_particles: int) -> AbstractTilt:
        return self.corrected(self.twist.start(diffusion, num_particles), *before_first(diffusion, num_particles))

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        return self.corrected(self.twist.step(diffusion, x_t, step), x_t, step)

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        tilt = self.twist.finish(diffusion, x_1)
        return tilt if self.ends_exactly else self.corrected(tilt, x_1, diffusion.steps[0])

    def corrected(self, tilt: AbstractTilt, x_t: Batch, step: Step) -> AbstractTilt:
        """A law of the twist, with what the network makes of it."""

        def outputs(x_t: Datum) -> Array:
            found = self.network(jnp.concatenate([flatten(x_t), self.features]), step)
            return found[: x_t.size].reshape(*x_t.shape, -1)

        return tilt.corrected(jax.vmap(outputs)(x_t), step)

    def held(self) -> "LearnedTwist":
        """The same with a network that gradients do not reach."""
        return eqx.tree_at(lambda twist: twist.network, self, jax.lax.stop_gradient(self.network))


def before_first(diffusion: StepLaws, num_particles: int) -> tuple[Batch, Step]:
    """What the network is told where x_T is drawn: nothing, at a step T + 1 in which all noise is new."""
    step = diffusion.steps[-1]
    step = eqx.tree_at(lambda one: (one.t, one.log_noise_gain), step, (step.t + 1, jnp.zeros_like(step.log_noise_gain)))
    return jnp.zeros((num_particles, *diffusion.event_shape)), step
