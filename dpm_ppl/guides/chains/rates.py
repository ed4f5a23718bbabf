"""`FreeRates`: a schedule of which every rate is trained, from any number of steps upwards."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.types import Array, Float
from dpm_ppl.schedules import AbstractSchedule
from dpm_ppl.schedules.base import check_rates
from dpm_ppl.schedules.steps import Step, traced_steps

MOST_LOGIT = 12.0
"""Beyond it a step is as good as none, or forgets all, and its rate no longer learns."""


class FreeRates(AbstractSchedule):
    """beta_1 ... beta_T, all trained, from the given ones; of a guide's chain even the first has no data to respect."""

    logits: Float[Array, " T"]

    def __init__(self, betas: Sequence[float] | np.ndarray):
        rates = np.asarray(betas, np.float64)
        check_rates("betas", rates)
        self.logits = jnp.asarray(np.clip(np.log(rates) - np.log1p(-rates), -MOST_LOGIT, MOST_LOGIT), dtype=float)

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.logits)

    def steps(self) -> Step:
        logits = jnp.clip(self.logits, -MOST_LOGIT, MOST_LOGIT)
        return traced_steps(jax.nn.log_sigmoid(-logits), jax.nn.log_sigmoid(logits))
