"""`AbstractProposal`: a way to draw independent, positive, unbiased estimates of p(x_0)."""

import abc
from typing import ClassVar

import equinox as eqx

from dpm_ppl._common.types import Cost, Datum, PRNGKey
from dpm_ppl.methods.base import AbstractMethod


class AbstractProposal(eqx.Module):
    """A way to draw independent, positive, unbiased estimates of p(x_0), each from `num_particles` particles.

    `kind` is what methods call it in their `proposals`.
    """

    num_particles: eqx.AbstractVar[int]
    kind: ClassVar[str] = "trajectories"

    @property
    @abc.abstractmethod
    def independent_particles(self) -> bool:
        """Whether each estimate is the mean of `num_particles` weights that are drawn independently of one another."""

    @abc.abstractmethod
    def log_weight(self, method: AbstractMethod, x_0: Datum, key: PRNGKey, *, steps_chunk: int | None) -> Cost:
        """The logarithm of one such estimate for one datum."""

    @abc.abstractmethod
    def check(self, method: AbstractMethod) -> None:
        """Raise `InputError` where the proposal cannot work with this method, which is of a kind that it suits."""
