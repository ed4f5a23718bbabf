"""Schedules that are fixed: `Erasure`, `Linear`, `Cosine`, `LogSNR` and `Fixed`.

They hold plain Python numbers, never arrays, so that no optimiser can move them.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from dpm_ppl._common.checks import check_shape, number_in, real_number
from dpm_ppl.schedules.base import AbstractSchedule, check_rates, number, number_of_steps
from dpm_ppl.schedules.log_snr import AbstractLogSNR, check_ends
from dpm_ppl.schedules.steps import Step, fixed_steps


class Erasure(AbstractSchedule):
    """beta_t = 1 / (T - t + 1): every step erases 1/T of the original signal, alpha_bar_t = 1 - t/T (paper, 2.4.1).

    `beta_1`, where given, replaces the first rate alone: the fixed edge wants it far below the data's own noise.
    """

    num_steps: int = eqx.field(static=True, converter=number_of_steps)
    beta_1: float | None = eqx.field(static=True, default=None, converter=number("beta_1", optional=True))

    def __check_init__(self):
        if self.beta_1 is not None:
            check_rates("beta_1", np.asarray([self.beta_1]))

    def steps(self) -> Step:
        betas = 1.0 / np.arange(self.num_steps, 0, -1)
        if self.beta_1 is not None:
            betas[0] = self.beta_1
        return fixed_steps(betas)


class Linear(AbstractSchedule):
    """beta_t rises linearly from `beta_1` to `beta_T`.

    The defaults are those of Ho et al. (2020) at T = 1000, scaled by 1000/T so that the end point stays where it is.
    """

    num_steps: int = eqx.field(static=True, converter=number_of_steps)
    beta_1: float = eqx.field(static=True)
    beta_T: float = eqx.field(static=True)

    def __init__(self, num_steps: int, *, beta_1: float | None = None, beta_T: float | None = None):
        self.num_steps = number_of_steps(num_steps)
        self.beta_1 = min(0.1 / self.num_steps, 1.0) if beta_1 is None else real_number("beta_1", beta_1)
        self.beta_T = min(20.0 / self.num_steps, 1.0) if beta_T is None else real_number("beta_T", beta_T)
        check_rates("beta_1", np.asarray([self.beta_1]))
        check_rates("beta_T", np.asarray([self.beta_T]))

    def steps(self) -> Step:
        return fixed_steps(np.linspace(self.beta_1, self.beta_T, self.num_steps))


def _offset(value: Any) -> float:
    remedy = "the usual value is 0.008"
    return number_in("offset", value, 0, closed="low", expected="a finite number >= 0", remedy=remedy)


class Cosine(AbstractSchedule):
    """alpha_bar_t = cos^2 of an angle that rises linearly (Nichol and Dhariwal 2021, equation 17).

    `offset` keeps the first rates from vanishing, `max_beta` keeps the last below 1.
    """

    num_steps: int = eqx.field(static=True, converter=number_of_steps)
    offset: float = eqx.field(static=True, default=0.008, converter=_offset)
    max_beta: float = eqx.field(static=True, default=0.999, converter=number("max_beta"))

    def __check_init__(self):
        check_rates("max_beta", np.asarray([self.max_beta]))

    def steps(self) -> Step:
        angle = (np.arange(self.num_steps + 1) / self.num_steps + self.offset) / (1 + self.offset) * np.pi / 2
        # beta_t = 1 - cos^2 b / cos^2 a = sin(b - a) sin(b + a) / cos^2 a keeps its digits where a is close to b.
        before, after = angle[:-1], angle[1:]
        betas = np.sin(after - before) * np.sin(after + before) / np.cos(before) ** 2
        return fixed_steps(np.minimum(betas, self.max_beta))


class LogSNR(AbstractLogSNR):
    """log(alpha_bar_t / (1 - alpha_bar_t)) falls linearly from `first` at t = 1 to `last` at t = T (Kingma 2021)."""

    num_steps: int = eqx.field(static=True, converter=number_of_steps)
    first: float = eqx.field(static=True, converter=number("first"))
    last: float = eqx.field(static=True, converter=number("last"))

    def __check_init__(self):
        check_ends(self.first, self.last)

    def share(self, time: Float[Array, "*time"]) -> Float[Array, "*time"]:
        return time

    def steps(self) -> Step:
        log_snr = np.linspace(self.first, self.last, self.num_steps)
        log_alpha_bar = -np.logaddexp(0.0, -log_snr)
        return fixed_steps(-np.expm1(np.diff(log_alpha_bar, prepend=0.0)))


class Fixed(AbstractSchedule):
    """The rates exactly as given: `betas`, shape `(T,)`, each in (0, 1]."""

    rates: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, betas: Sequence[float] | np.ndarray | Array):
        rates = np.asarray(betas, np.float64)
        check_shape("betas", rates, (rates.size,), expected="one axis (T,)", remedy="pass the rates in order t = 1..T")
        number_of_steps(len(rates))
        check_rates("betas", rates)
        self.rates = tuple(rates.tolist())

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.rates)

    def steps(self) -> Step:
        return fixed_steps(np.asarray(self.rates))
