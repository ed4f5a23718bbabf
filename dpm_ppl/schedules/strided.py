"""`Strided`: some of the steps of another schedule, each of which does the work of those it passes over."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import whole_number
from dpm_ppl.schedules.base import AbstractSchedule
from dpm_ppl.schedules.steps import Step, longer_steps


class Strided(AbstractSchedule):
    """The chain that visits x_t of `schedule` at `num_steps` times alone, the first and the last among them.

    Its marginals q(x_t | x_0) are those of the whole chain, and the times are as evenly spread as whole numbers can be.
    """

    schedule: AbstractSchedule
    num_steps: int = eqx.field(static=True)

    def __init__(self, schedule: AbstractSchedule, num_steps: int):
        most = schedule.num_steps
        expected, remedy = f"a whole number from 2 to T = {most:,}", "it is the number of steps that are left"
        self.num_steps = whole_number("num_steps", num_steps, least=2, most=most, expected=expected, remedy=remedy)
        self.schedule = schedule

    @property
    def times(self) -> np.ndarray:
        """The steps t of `schedule` that are left, from 1 to T, shape `(num_steps,)`."""
        return np.round(np.linspace(1, self.schedule.num_steps, self.num_steps)).astype(int)

    def steps(self) -> Step:
        return longer_steps(self.schedule.steps(), jnp.asarray(self.times))
