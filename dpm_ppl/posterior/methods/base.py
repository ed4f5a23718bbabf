"""`AbstractConditioning`: a way to draw x_0 given an observation."""

import abc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import numpy as np

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.estimates.standard_errors import Estimate
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.particles import State, relative_variance
from dpm_ppl.posterior.result import log_estimate

APPROXIMATE = "approximate"
"""The verdict on a method that is biased however long it runs."""


class Drawn(NamedTuple):
    """What a method gives, in the units that the diffusion works in."""

    draws: np.ndarray
    log_weights: np.ndarray
    log_evidence: Estimate | None
    verdict: str
    statistics: dict[str, Any]
    notices: tuple[str, ...] = ()
    lower_bound: Estimate | None = None
    """Of the log evidence, where the method has one."""


class AbstractConditioning(eqx.Module):
    """A way to draw x_0 given an observation; `name` is what results and the command line call it."""

    name: ClassVar[str]

    @abc.abstractmethod
    def check(self, diffusion: StepLaws, observation: AbstractObservation) -> None:
        """Raise `InputError` where the method cannot work with these, before anything is computed."""

    @abc.abstractmethod
    def draw(self, diffusion: StepLaws, observation: AbstractObservation, key: PRNGKey) -> Drawn:
        """The draws."""


def evidence_of(states: Sequence[State]) -> tuple[np.ndarray, Estimate]:
    """Log evidence of each run of particles, `(run,)`, and of all of them together with its error."""
    totals = np.array([float(state.log_evidence) + float(state.rounding) for state in states])
    errors = np.array([float(relative_variance(state)) for state in states])
    return totals, log_estimate(totals, errors, sum(len(state.log_weights) for state in states))


def count(argument: str, least: int = 1) -> Callable[[Any], int]:
    """A converter for fields that are whole numbers of at least so many."""
    return partial(whole_number, argument, least=least, expected=f"a whole number, at least {least}")


def equal_weights(num: int) -> np.ndarray:
    """Normalised logarithms."""
    return np.full(num, -np.log(num))
