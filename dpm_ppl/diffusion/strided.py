"""Fewer steps than were trained: `strided` passes over the others."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from dpm_ppl._common.checks import check_kind
from dpm_ppl._common.types import Array, Datum, Float
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.schedules import Strided
from dpm_ppl.schedules.steps import Step


def strided(diffusion: Diffusion, num_steps: int) -> Diffusion:
    """The trained diffusion on `num_steps` of its T steps, evenly spread over 1..T and with both of these.

    It is a diffusion like any other, with a bound, weights and posteriors of its own, and costs `num_steps` evaluations
    of the network in place of T. Its K is in general lower, as a long step has a law that is further from the kernel's;
    how much lower `bound` says. The network is told the time of the whole chain. It has to predict what does not depend
    on the length of a step, as it does for the readouts `noise_prediction`, `velocity` and `clean_rate`; with others K
    is still a bound, but a poor one.

    **Raises:** `InputError` for what is no diffusion, and unless 2 <= `num_steps` <= T.
    """
    check_kind("diffusion", diffusion, Diffusion, expected="a Diffusion", remedy="strided(diffusion, 100)")
    schedule = Strided(diffusion.schedule, num_steps)
    network = AtTimes(diffusion.network, tuple(schedule.times.tolist()))
    return replace(diffusion, schedule=schedule, network=network)


class AtTimes(AbstractNetwork):
    """A network that is told, in place of t, the time `times[t - 1]`."""

    network: AbstractNetwork
    times: tuple[int, ...] = eqx.field(static=True)

    @property
    def num_steps(self) -> int:
        """How many times there are."""
        return len(self.times)

    @property
    def made_for(self) -> str | None:
        """The readout that the network is made for, None where it does not say."""
        return getattr(self.network, "made_for", None)

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        told: Any = eqx.tree_at(lambda step: step.t, step, jnp.asarray(self.times)[step.t - 1])
        return self.network(x_t, told)
