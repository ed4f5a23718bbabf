"""Twist for observed bits: each x_0,i is 1 at the rate that the reverse law implies, independently of the others."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Batch
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import Bits
from dpm_ppl.posterior.prediction import coordinates, predict_bits
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt, ByBits, over_event
from dpm_ppl.schedules.steps import Step


class ByRates(AbstractTwist):
    """r_t(x_t) = prod_i sum_u P(x_0,i = u | x_t) r_i(u), and the move that goes with it."""

    observation: Bits
    ends_exactly: ClassVar[bool] = True

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        known, seen = predict_bits(diffusion, x_t, step), self.observation
        log_twist = over_event(jnp.logaddexp(known.log_rate + seen.log_one, known.log_other + seen.log_zero))

        def log_factor(sign: int) -> Batch:
            """log E[r_i(x_0) | x_{t-1} = 1, x_t] for sign = 1, and for x_{t-1} = 0 for sign = -1."""
            one = known.log_rate + jax.nn.log_sigmoid(sign * known.if_one.logits)
            zero = known.log_other + jax.nn.log_sigmoid(sign * known.if_zero.logits)
            return jnp.logaddexp(one + seen.log_one, zero + seen.log_zero) - jnp.logaddexp(one, zero)

        return ByBits(log_twist, known.reverse, log_factor(-1), log_factor(1))

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        law, seen = coordinates(diffusion.edge_law(x_1)), self.observation
        log_rate, log_other = jax.nn.log_sigmoid(law.logits), jax.nn.log_sigmoid(-law.logits)
        log_twist = over_event(jnp.logaddexp(log_rate + seen.log_one, log_other + seen.log_zero))
        like = jnp.zeros(x_1.shape)
        return ByBits(log_twist, law, seen.log_zero + like, seen.log_one + like)
