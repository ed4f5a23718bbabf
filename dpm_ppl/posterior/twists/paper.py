"""The paper's own recipe: every step multiplied by r itself (section 2.5, appendix C, table App.1).

It is not the posterior. The paper drops the normaliser of eq. 21, whose dependence on x_{t+1} is of the same order as
the step: with r constant along the chain the observation counts twice where the data are normal. The annealed r, to the
power (T - t) / T, is biased too, by another amount. Clamping known coordinates (r a point) does not count twice, but
ignores what they say of the others at the noise of the step.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Batch
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.kernels._levels import padded
from dpm_ppl.posterior.observations import AbstractObservation, Levels, NormalCoordinates
from dpm_ppl.posterior.prediction import coordinates, log_levels, stationary
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt, ByCoordinates, ByLevels, Shifted, normal_step
from dpm_ppl.schedules.steps import Step


class PaperTwist(AbstractTwist):
    """Each step times r(x_{t-1}): exactly where r has factors for the coordinates, else by its gradient (eq. 61)."""

    observation: AbstractObservation
    annealed: bool = eqx.field(static=True)
    ends_exactly: ClassVar[bool] = False

    def start(self, diffusion: StepLaws, num_particles: int) -> AbstractTilt:
        law = stationary(diffusion, num_particles)
        none = jnp.zeros((num_particles, *diffusion.event_shape))
        return self._tilted(law, none, 0.0, self._power(diffusion, diffusion.num_steps))

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        now, then = self._power(diffusion, step.t), self._power(diffusion, step.t - 1)
        return self._tilted(diffusion.reverse(x_t, step), x_t, now, then)

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        return self._tilted(diffusion.edge_law(x_1), x_1, self._power(diffusion, 1), 1.0)

    def _power(self, diffusion: StepLaws, t: Array | int) -> Array | float:
        return 1.0 - t / diffusion.num_steps if self.annealed else 1.0

    def _tilted(self, law: Distribution, x_t: Batch, now: Array | float, then: Array | float) -> AbstractTilt:
        """The law times r to the power `then`; r to the power `now` is what x_t was drawn with."""
        seen = self.observation
        log_twist = jnp.where(now > 0, now * seen.log_prob(x_t), 0.0)
        if isinstance(seen, Levels):
            each = coordinates(law)
            shape = (len(x_t), *log_levels(each).shape[-len(seen.event_shape) - 1 :])
            return ByLevels(log_twist, each, jnp.broadcast_to(then * padded(seen.log_factors, shape[-1]), shape))
        step = normal_step(law)
        deviation = step.scale
        if isinstance(seen, NormalCoordinates):
            known = seen.seen & (jnp.asarray(then) > 0)
            slope = jnp.where(known, deviation, 0.0)
            apart = jnp.where(known, seen.value - step.mean, 0.0)
            variance = jnp.where(known, seen.variance / jnp.maximum(then, 1e-30), 1.0)
            return ByCoordinates(log_twist, step, apart, slope, jnp.broadcast_to(variance, slope.shape))
        gradient = jax.grad(lambda x: seen.log_prob(x).sum())(step.mean)
        return Shifted(log_twist, step, then * deviation * gradient)
