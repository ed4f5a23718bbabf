"""`Learned`: a schedule whose rates are trained with the reverse chain."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dpm_ppl._common.errors import InputError
from dpm_ppl.schedules.base import AbstractSchedule, check_rates
from dpm_ppl.schedules.steps import Step, check_steps_move, smallest_rates, traced_steps


class Learned(AbstractSchedule):
    """beta_2 ... beta_T trained by gradient ascent on K, beta_1 held where it starts (paper, 2.4.1).

    The gradient is that of the whole bound, entropies included, with the noise draws frozen; it needs a kernel whose
    marginals are reparameterised. `initial` gives the starting rates; one that is exactly 1 starts just below it.
    """

    logits: Float[Array, " T-1"]
    beta_1: float = eqx.field(static=True)

    def __init__(self, initial: AbstractSchedule):
        steps = initial.steps()
        check_steps_move("initial", steps)
        self.beta_1 = float(np.exp(np.float64(steps.log_beta[0])))
        self.logits = jnp.minimum(steps.logit_beta[1:], 10.0)

    def __check_init__(self):
        check_rates("initial", np.asarray([self.beta_1]))
        if self.beta_1 == 1:
            raise InputError(
                "initial",
                expected="beta_1 below 1, as it is held",
                got="beta_1 = 1",
                remedy="start from a schedule with a small first rate",
            )

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.logits) + 1

    def steps(self) -> Step:
        def from_first(first: float, rest: Array) -> Array:
            return jnp.concatenate([jnp.full(1, first, rest.dtype), rest])

        logits = jnp.maximum(self.logits, math.log(smallest_rates()[1]))  # however far training moves them
        log_alpha = from_first(math.log1p(-self.beta_1), jax.nn.log_sigmoid(-logits))
        log_beta = from_first(math.log(self.beta_1), jax.nn.log_sigmoid(logits))
        return traced_steps(log_alpha, log_beta)
