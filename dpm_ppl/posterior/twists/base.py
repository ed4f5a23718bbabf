"""`AbstractTwist`: guesses r_t(x_t) of how well x_t will explain the observation, and moves that go by them.

The exact guess is r_t(x_t) = E_p[r(x_0) | x_t]; with it every move draws from the posterior itself and all weights are
equal. Any other positive guess leaves a weight behind, by which sequential Monte Carlo corrects.
"""

import abc

import equinox as eqx
import jax.numpy as jnp

from dpm_ppl._common.types import Batch
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.prediction import stationary
from dpm_ppl.posterior.twists.tilts import AbstractTilt, Untilted
from dpm_ppl.schedules.steps import Step


class AbstractTwist(eqx.Module):
    """Moves down the chain towards an observation; each of the three methods takes all particles side by side."""

    ends_exactly: eqx.AbstractClassVar[bool]
    """Whether `finish` draws from p(x_0 | x_1) r(x_0) itself, and its `log_twist` is that law's normaliser."""

    def start(self, diffusion: StepLaws, num_particles: int) -> AbstractTilt:
        """The law of x_T; its `log_twist` has no meaning. By default the chain's own: the weights see to the rest."""
        return Untilted(jnp.zeros(num_particles), stationary(diffusion, num_particles))

    @abc.abstractmethod
    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        """The law of x_{t-1} given x_t, for a step t >= 2."""

    @abc.abstractmethod
    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        """The law of x_0 given x_1."""
