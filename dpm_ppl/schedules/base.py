"""`AbstractSchedule`: what every schedule of rates beta_1 ... beta_T has, and how rates are checked."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dpm_ppl._common.checks import real_number, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl.schedules.steps import Step

MOST_STEPS = 100_000


def number_of_steps(num_steps: Any) -> int:
    """T as Python's integer, or an `InputError`."""
    expected = f"an integer T from 2 to {MOST_STEPS:,}"
    remedy = "a diffusion needs at least a first and a last step; typical values are 40 to 2000"
    return whole_number("num_steps", num_steps, least=2, most=MOST_STEPS, expected=expected, remedy=remedy)


def number(name: str, *, optional: bool = False) -> Callable[[Any], Any]:
    """A converter of a field to Python's float; with `optional` None stays None."""
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


def check_rates(argument: str, rates: np.ndarray) -> None:
    """Raise `InputError` unless all rates are in (0, 1]."""
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
