"""Diffusion rates beta_1 ... beta_T: fixed once and for all, or learned with the reverse chain.

A fixed schedule holds plain Python numbers, never arrays, so that no optimiser can move it.
"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dpm_ppl._errors import InputError
from dpm_ppl._inputs import real_number, whole_number
from dpm_ppl.steps import Step, check_steps_move, fixed_steps, smallest_rates, traced_steps

MOST_STEPS = 100_000


def _number_of_steps(num_steps: Any) -> int:
    expected = f"an integer T from 2 to {MOST_STEPS:,}"
    remedy = "a diffusion needs at least a first and a last step; typical values are 40 to 2000"
    number = whole_number("num_steps", num_steps, least=2, expected=expected, remedy=remedy)
    if number > MOST_STEPS:
        raise InputError("num_steps", expected=expected, got=number, remedy=remedy)
    return number


def _number(name: str, *, optional: bool = False) -> Callable[[Any], Any]:
    return lambda value: None if value is None and optional else real_number(name, value)


class AbstractSchedule(eqx.Module):
    """The diffusion rates of a forward chain of `num_steps` steps."""

    num_steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def steps(self) -> Step:
        """All steps 1..T, along a leading axis `(T,)`."""

    @property
    def betas(self) -> Float[Array, " T"]:
        """beta_t, shape `(T,)`; `betas[t - 1]` is beta_t."""
        return self.steps().beta

    @property
    def alpha_bar(self) -> Float[Array, " points"]:
        """prod (1 - beta), shape `(T + 1,)`; `alpha_bar[0]` is 1."""
        alpha_bar = self.steps().alpha_bar
        return jnp.concatenate([jnp.ones(1, alpha_bar.dtype), alpha_bar])


class Erasure(AbstractSchedule):
    """beta_t = 1 / (T - t + 1): every step erases 1/T of the original signal, alpha_bar_t = 1 - t/T (paper, 2.4.1).

    `beta_1`, where given, replaces the first rate alone: the fixed edge wants it far below the data's own noise.
    """

    num_steps: int = eqx.field(static=True, converter=_number_of_steps)
    beta_1: float | None = eqx.field(static=True, default=None, converter=_number("beta_1", optional=True))

    def __check_init__(self):
        if self.beta_1 is not None:
            _check_rates("beta_1", np.asarray([self.beta_1]))

    def steps(self) -> Step:
        betas = 1.0 / np.arange(self.num_steps, 0, -1)
        if self.beta_1 is not None:
            betas[0] = self.beta_1
        return fixed_steps(betas)


class Linear(AbstractSchedule):
    """beta_t rises linearly from `beta_1` to `beta_T`.

    The defaults are those of Ho et al. (2020) at T = 1000, scaled by 1000/T so that the end point stays where it is.
    """

    num_steps: int = eqx.field(static=True, converter=_number_of_steps)
    beta_1: float = eqx.field(static=True)
    beta_T: float = eqx.field(static=True)

    def __init__(self, num_steps: int, *, beta_1: float | None = None, beta_T: float | None = None):
        self.num_steps = _number_of_steps(num_steps)
        self.beta_1 = min(0.1 / self.num_steps, 1.0) if beta_1 is None else real_number("beta_1", beta_1)
        self.beta_T = min(20.0 / self.num_steps, 1.0) if beta_T is None else real_number("beta_T", beta_T)
        _check_rates("beta_1", np.asarray([self.beta_1]))
        _check_rates("beta_T", np.asarray([self.beta_T]))

    def steps(self) -> Step:
        return fixed_steps(np.linspace(self.beta_1, self.beta_T, self.num_steps))


class Cosine(AbstractSchedule):
    """alpha_bar_t = cos^2 of an angle that rises linearly (Nichol and Dhariwal 2021, equation 17).

    `offset` keeps the first rates from vanishing, `max_beta` keeps the last below 1.
    """

    num_steps: int = eqx.field(static=True, converter=_number_of_steps)
    offset: float = eqx.field(static=True, default=0.008, converter=_number("offset"))
    max_beta: float = eqx.field(static=True, default=0.999, converter=_number("max_beta"))

    def __check_init__(self):
        _check_rates("max_beta", np.asarray([self.max_beta]))
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise InputError(
                "offset", expected="a finite number >= 0", got=repr(self.offset), remedy="the usual value is 0.008"
            )

    def steps(self) -> Step:
        angle = (np.arange(self.num_steps + 1) / self.num_steps + self.offset) / (1 + self.offset) * np.pi / 2
        # beta_t = 1 - cos^2 b / cos^2 a = sin(b - a) sin(b + a) / cos^2 a keeps its digits where a is close to b.
        before, after = angle[:-1], angle[1:]
        betas = np.sin(after - before) * np.sin(after + before) / np.cos(before) ** 2
        return fixed_steps(np.minimum(betas, self.max_beta))


class LogSNR(AbstractSchedule):
    """log(alpha_bar_t / (1 - alpha_bar_t)) falls linearly from `first` at t = 1 to `last` at t = T (Kingma 2021)."""

    num_steps: int = eqx.field(static=True, converter=_number_of_steps)
    first: float = eqx.field(static=True, converter=_number("first"))
    last: float = eqx.field(static=True, converter=_number("last"))

    def __check_init__(self):
        if not (math.isfinite(self.first) and math.isfinite(self.last) and self.first > self.last):
            raise InputError(
                "first, last",
                expected="finite log signal-to-noise ratios with first > last",
                got=f"{self.first!r}, {self.last!r}",
                remedy="noise grows along the forward chain: swap them, or use for example first=12, last=-8",
            )

    def steps(self) -> Step:
        log_snr = np.linspace(self.first, self.last, self.num_steps)
        log_alpha_bar = -np.logaddexp(0.0, -log_snr)
        return fixed_steps(-np.expm1(np.diff(log_alpha_bar, prepend=0.0)))


class Fixed(AbstractSchedule):
    """The rates exactly as given: `betas`, shape `(T,)`, each in (0, 1]."""

    rates: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, betas: Sequence[float] | np.ndarray | Array):
        rates = np.asarray(betas, np.float64)
        if rates.ndim != 1:
            raise InputError(
                "betas", expected="one axis (T,)", got=f"shape {rates.shape}", remedy="pass the rates in order t = 1..T"
            )
        _number_of_steps(len(rates))
        _check_rates("betas", rates)
        self.rates = tuple(rates.tolist())

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.rates)

    def steps(self) -> Step:
        return fixed_steps(np.asarray(self.rates))


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
        _check_rates("initial", np.asarray([self.beta_1]))
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


def _check_rates(argument: str, rates: np.ndarray) -> None:
    bad = ~((rates > 0) & (rates <= 1))
    if bad.any():
        first = int(np.argmax(bad))
        found = repr(rates[first].item())
        raise InputError(
            argument,
            expected="rates in (0, 1]",
            got=found if len(rates) == 1 else f"{int(bad.sum())} outside, the first at t = {first + 1}: {found}",
            remedy="a rate is the share of variance that one step replaces by noise",
        )
