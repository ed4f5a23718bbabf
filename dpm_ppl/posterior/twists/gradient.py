"""Twist for any likelihood of real data: r at the predicted x_0, and a move along its gradient.

r_t(x_t) = r(m_t(x_t)) with m_t(x_t) the mean of x_0 that the reverse law implies, as in the twisted diffusion sampler
(Wu et al. 2023); the move is the chain's own, its mean shifted by variance times gradient.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Batch, Cost
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.prediction import predict
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt, Shifted, normal_step
from dpm_ppl.schedules.steps import Step

MOST_SHIFT = 3.0
"""Deviations by which a step is shifted at most, over all coordinates together."""


class ByGradient(AbstractTwist):
    """For an observation of any form; its logarithm has to be differentiable."""

    observation: AbstractObservation
    ends_exactly: ClassVar[bool] = False

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        def log_twist_of(x_t: Batch) -> tuple[Cost, tuple[Cost, NormalStep]]:
            known = predict(diffusion, x_t, step)
            log_twist = self.observation.log_prob(known.mean)
            return log_twist.sum(), (log_twist, known.reverse)

        gradient, (log_twist, prior) = jax.grad(log_twist_of, has_aux=True)(x_t)
        return Shifted(log_twist, prior, _bounded(prior.scale * gradient))

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        prior = normal_step(diffusion.edge_law(x_1))
        gradient = jax.grad(lambda mean: self.observation.log_prob(mean).sum())(prior.mean)
        return Shifted(self.observation.log_prob(prior.mean), prior, _bounded(prior.scale * gradient))


def _bounded(shift: Batch) -> Batch:
    shift = jnp.nan_to_num(shift, nan=0.0, posinf=0.0, neginf=0.0)
    axes = tuple(range(1, shift.ndim))
    length = jnp.sqrt((shift**2).sum(axis=axes, keepdims=True))
    return shift * (MOST_SHIFT / jnp.maximum(length, MOST_SHIFT))
