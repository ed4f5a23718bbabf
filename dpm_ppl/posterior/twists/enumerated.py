"""The exact twist of chains of few states, such as eight bits, by summing over all states that x_{t-1} can be in."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Batch, Cost, Float, Int, PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import MOST_STATES, AbstractObservation, all_states
from dpm_ppl.posterior.prediction import coordinates, log_levels, stationary
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt
from dpm_ppl.schedules.steps import Step


class AmongStates(AbstractTilt):
    """A law over all states, of each particle."""

    log_twist: Cost
    prior: Distribution
    states: Batch
    log_factor: Float[Array, " state"]
    log_normaliser: Cost

    def of(self, ancestors: Int[Array, " particle"]) -> "AmongStates":
        chosen = jax.tree.map(lambda leaf: leaf[ancestors], (self.log_twist, self.prior, self.log_normaliser))
        return eqx.tree_at(lambda tilt: (tilt.log_twist, tilt.prior, tilt.log_normaliser), self, chosen)

    def sample(self, key: PRNGKey) -> Batch:
        return self.states[jax.random.categorical(key, self._log_priors + self.log_factor)]

    def log_ratio(self, x: Batch) -> Cost:
        return self.log_factor[_number_of(x, self.states)] - self.log_normaliser

    def log_prior(self, x: Batch) -> Cost:
        return self.prior.log_prob(x)

    @property
    def _log_priors(self) -> Array:
        return jax.vmap(self.prior.log_prob, out_axes=1)(self._one_by_one)

    @property
    def _one_by_one(self) -> Batch:
        num = len(self.log_twist)
        return jnp.broadcast_to(self.states[:, None], (len(self.states), num, *self.states.shape[1:]))


class EnumeratedTwist(AbstractTwist):
    """`log_twist[t]` is log r_t of every state, t = 0 ... T, computed once from the last step upwards."""

    states: Batch
    log_twist: Float[Array, "t state"]
    ends_exactly: ClassVar[bool] = True

    def start(self, diffusion: StepLaws, num_particles: int) -> AbstractTilt:
        return self._tilted(stationary(diffusion, num_particles), jnp.zeros(num_particles), self.log_twist[-1])

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        log_twist = self.log_twist[step.t, _number_of(x_t, self.states)]
        return self._tilted(diffusion.reverse(x_t, step), log_twist, self.log_twist[step.t - 1])

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        return self._tilted(diffusion.edge_law(x_1), self.log_twist[1, _number_of(x_1, self.states)], self.log_twist[0])

    def _tilted(self, prior: Distribution, log_twist: Cost, log_factor: Array) -> AbstractTilt:
        tilt = AmongStates(log_twist, prior, self.states, log_factor, log_twist)
        log_normaliser = logsumexp(tilt._log_priors + log_factor, axis=1)
        return eqx.tree_at(lambda tilt: tilt.log_normaliser, tilt, log_normaliser)


def enumerated_twist(diffusion: StepLaws, observation: AbstractObservation) -> EnumeratedTwist | None:
    """The exact twist of a chain of bits or levels, or None where there are too many states."""
    base = log_levels(coordinates(diffusion.stationary())).shape[-1]
    if base**diffusion.num_coordinates > MOST_STATES:
        return None
    states = all_states(base, diffusion.event_shape)
    return EnumeratedTwist(states, _log_twists(diffusion, states, observation.log_prob(states)))


@eqx.filter_jit
def _log_twists(diffusion: StepLaws, states: Batch, log_r: Array) -> Array:
    def above(law: Distribution, log_below: Array) -> Array:
        log_priors = jax.lax.map(law.log_prob, jnp.broadcast_to(states[:, None], (len(states), *states.shape)))
        return logsumexp(log_priors + log_below[:, None], axis=0)

    first = above(diffusion.edge_law(states), log_r)

    def up(log_below: Array, step: Step) -> tuple[Array, Array]:
        now = above(diffusion.reverse(states, step), log_below)
        return now, now

    _, rest = jax.lax.scan(up, first, diffusion.steps[1:])
    return jnp.concatenate([log_r[None], first[None], rest])


def _number_of(x: Batch, states: Batch) -> Int[Array, " particle"]:
    digits = x.reshape(len(x), -1).astype(jnp.int32)
    base = round(len(states) ** (1 / digits.shape[1]))
    return (digits * base ** jnp.arange(digits.shape[1])).sum(axis=1)
