"""Twist for observed bits and levels: each x_0,i has the law that the reverse law implies, apart from the others."""

from typing import ClassVar

import jax.numpy as jnp
from jax.scipy.special import logsumexp

from dpm_ppl._common.types import Batch
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.kernels._levels import padded
from dpm_ppl.posterior.observations import Levels
from dpm_ppl.posterior.prediction import coordinates, log_levels, predict_levels
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt, ByLevels, over_event
from dpm_ppl.schedules.steps import Step


class ByRates(AbstractTwist):
    """r_t(x_t) = prod_i sum_u P(x_0,i = u | x_t) r_i(u), and the move that goes with it."""

    observation: Levels
    ends_exactly: ClassVar[bool] = True

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        known, seen = predict_levels(diffusion, x_t, step), self.observation
        log_twist = over_event(logsumexp(known.log_law + padded(seen.log_factors, known.log_law.shape[-1]), axis=-1))
        return ByLevels(log_twist, known.reverse, known.log_mean(seen.log_factors))

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        law = coordinates(diffusion.edge_law(x_1))
        log_law = log_levels(law)
        log_factors = padded(self.observation.log_factors, log_law.shape[-1])
        log_factors = jnp.broadcast_to(log_factors, log_law.shape)
        return ByLevels(over_event(logsumexp(log_law + log_factors, axis=-1)), law, log_factors)
