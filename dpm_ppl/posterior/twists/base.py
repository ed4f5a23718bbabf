"""`AbstractTwist`: guesses r_t(x_t) of how well x_t will explain the observation, and moves that go by them.

The exact guess is r_t(x_t) = E_p[r(x_0) | x_t]; with it every move draws from the posterior itself and all weights are
equal. Any other positive guess leaves a weight behind, by which sequential Monte Carlo corrects.
"""

import abc

import equinox as eqx
import jax

from dpm_ppl._common.types import Array, Batch, Cost, Int, PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.schedules.steps import Step


class AbstractTilt(eqx.Module):
    """For every particle a law of where it moves next: prior(x) L(x) / Z, with the prior that the chain itself has.

    `log_twist` is log r_t of the points it starts from, `(particle,)`.
    """

    log_twist: eqx.AbstractVar[Cost]

    def of(self, ancestors: Int[Array, " particle"]) -> "AbstractTilt":
        """The laws of these particles; some of them may be chosen more than once."""
        return jax.tree.map(lambda leaf: leaf[ancestors], self)

    @abc.abstractmethod
    def sample(self, key: PRNGKey) -> Batch:
        """One move of each particle."""

    @abc.abstractmethod
    def log_ratio(self, x: Batch) -> Cost:
        """log L(x) - log Z: how much likelier the law makes these moves than the prior."""

    @abc.abstractmethod
    def log_prior(self, x: Batch) -> Cost:
        """The log-density of these moves under the chain itself."""


class AbstractTwist(eqx.Module):
    """Moves down the chain towards an observation; each of the three methods takes all particles side by side."""

    ends_exactly: eqx.AbstractClassVar[bool]
    """Whether `finish` draws from p(x_0 | x_1) r(x_0) itself, and its `log_twist` is that law's normaliser."""

    @abc.abstractmethod
    def start(self, diffusion: StepLaws, num_particles: int) -> AbstractTilt:
        """The law of x_T; its `log_twist` has no meaning."""

    @abc.abstractmethod
    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        """The law of x_{t-1} given x_t, for a step t >= 2."""

    @abc.abstractmethod
    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        """The law of x_0 given x_1."""
