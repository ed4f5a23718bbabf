"""Schedules in continuous time: `AbstractLogSNR`, their contract, and `LearnedLogSNR`, which is trained.

Time runs from 0, where x_1 is, to 1, where x_T is. T steps are T points of it, evenly spaced; as T grows the bound of
the chain tends to one that depends on the two ends of the schedule alone (Kingma, Salimans, Poole and Ho 2021,
"Variational Diffusion Models"). What lies between them decides how noisy estimates from a few times are.
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dpm_ppl._common.checks import real_number, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl.schedules.base import AbstractSchedule, number_of_steps
from dpm_ppl.schedules.steps import Step, smallest_rates, step_down, steps_from_log_snr

Time = Float[Array, "*time"]

WIDTH = 1e-5
"""Fall of the log-SNR over a step that stands for one without length. What a divergence over such a step is more than
in the limit is of the order of a quarter of it, in nats per coordinate and unit of log-SNR."""
LEAST_SHARE = 0.1
"""Part of time that a learned schedule spends evenly over all log-SNRs: none is looked at less often than so."""


class AbstractLogSNR(AbstractSchedule):
    """log(alpha_bar / (1 - alpha_bar)) falls with time, from `first` at time 0 to `last` at time 1.

    A schedule that learns its `share` learns it from the noise of estimates alone (`log_pace`), and its ends from the
    bound.
    """

    first: eqx.AbstractVar[Any]
    last: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def share(self, time: Time) -> Time:
        """How much of the fall is done by these times, from 0 to 1."""

    def instant(self, time: Time) -> tuple[Step, Time]:
        """A step of a fall of `WIDTH` to the log-SNR at these times, and how fast it falls per unit of time.

        Their gradient is with respect to the ends of the schedule alone.
        """
        share, pace = jax.lax.stop_gradient(jax.jvp(self.share, (time,), (jnp.ones_like(time),)))
        span = self.first - self.last
        step = step_down(1 + (self.num_steps - 1) * time, self.first - span * share, jnp.full_like(time, WIDTH))
        return step, span * pace

    def log_pace(self, time: Time) -> Time:
        """Log of how fast the share grows, with the gradient that it has where the share, not the time, stays as it is.

        A value f / density of an estimate that draws shares with this schedule's density 1 / pace has a second moment
        whose gradient is the mean of its square times that of `log_pace`.
        """
        share, pace = jax.lax.stop_gradient(jax.jvp(self.share, (time,), (jnp.ones_like(time),)))
        moved = time - (self.share(time) - share) / pace
        return jnp.log(jax.jvp(self.share, (moved,), (jnp.ones_like(time),))[1])


class LearnedLogSNR(AbstractLogSNR):
    """A log-SNR that is trained: its two ends by the bound, its fall between them by the noise of the loss.

    The range between the ends is cut into `num_parts` equal parts, and what is learned is the time spent in each: a
    monotone function, linear in every part. Train it with `ContinuousELBO`, which draws times; it spends most time
    where the loss varies most. It starts as `LogSNR(num_steps, first, last)`, and needs a kernel whose marginals are
    reparametrised.
    """

    ends: Float[Array, "2"]
    logits: Float[Array, " parts"]
    num_steps: int = eqx.field(static=True)

    def __init__(self, num_steps: int, first: float, last: float, *, num_parts: int = 50):
        self.num_steps = number_of_steps(num_steps)
        first, last = real_number("first", first), real_number("last", last)
        check_ends(first, last)
        self.ends = jnp.asarray([first, last], float)
        self.logits = jnp.zeros(whole_number("num_parts", num_parts), float)

    @property
    def first(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """At time 0; however far training moves it, the first step is one that x_1 shows."""
        return jnp.minimum(self.ends[0], -math.log(smallest_rates()[0]))

    @property
    def last(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """At time 1."""
        return jnp.minimum(self.ends[1], self.first - 1)

    def share(self, time: Time) -> Time:
        num_parts = len(self.logits)
        spent = LEAST_SHARE / num_parts + (1 - LEAST_SHARE) * jax.nn.softmax(self.logits)
        until = jnp.cumsum(spent)
        part = jnp.minimum(jnp.searchsorted(until, time, side="right"), num_parts - 1)
        return jnp.clip((part + 1 - (until[part] - time) / spent[part]) / num_parts, 0.0, 1.0)

    def steps(self) -> Step:
        time = jnp.linspace(0.0, 1.0, self.num_steps)
        return steps_from_log_snr(self.first - (self.first - self.last) * self.share(time))


def check_ends(first: float, last: float) -> None:
    """Raise `InputError` unless a log-SNR falls from `first` to `last`."""
    if not (math.isfinite(first) and math.isfinite(last) and first > last):
        raise InputError(
            "first, last",
            expected="finite log signal-to-noise ratios with first > last",
            got=f"{first!r}, {last!r}",
            remedy="noise grows along the forward chain: swap them, or use for example first=12, last=-8",
        )
