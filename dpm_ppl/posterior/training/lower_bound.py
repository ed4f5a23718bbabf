"""The evidence lower bound of a guide that is a reverse chain itself, and its training.

    log E_p[r(x_0)] >= E_q[log p(x_0 ... x_T) + log r(x_0) - log q(x_0 ... x_T)],

with the guide q a chain whose steps are those of a `LearnedTwist`. For real data the gradient goes along the path, with
the density of the guide held (Roeder, Wu and Duvenaud 2017). Bits have no such gradient: theirs is that of the variance
of the log-weights (Richter et al. 2020). Both have no noise left where the guide is the posterior.

The steps are computed again on the way back (`jax.checkpoint`), so that of each path only its points are kept: memory
grows with T times the paths times the size of a datum.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import optax
from numpyro.infer import SVI, Trace_ELBO

from dpm_ppl._common.numpyro_seam import eqx_module, params_site, prng_key
from dpm_ppl._common.types import Array, Batch, Cost, Float, Int, PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.training.cases import Cases, Reader
from dpm_ppl.posterior.twists.learned import LearnedTwist, before_first
from dpm_ppl.posterior.twists.tilts import AbstractTilt
from dpm_ppl.schedules.steps import Step
from dpm_ppl.training import TrainingState, init, step

UPDATES_PER_CHUNK = 100
MOST_GRADIENT = 10.0
AVERAGING = 0.99


class Settings(NamedTuple):
    """Of a training; `num_observations` of them are looked at in each update, with `num_particles` paths for each."""

    num_updates: int
    num_particles: int
    num_observations: int
    learning_rate: float


def log_weights(
    diffusion: StepLaws, guide: LearnedTwist, observation: AbstractObservation, key: PRNGKey, num: int
) -> Cost:
    """log p(path) r(x_0) - log q(path) of `num` paths of the guide, with the gradients that training goes by."""
    pathwise = diffusion.kernel.reparametrised
    weighing = guide.held() if pathwise else guide

    def moved(tilt: AbstractTilt, x_t: Batch, step_t: Step, key: PRNGKey) -> tuple[Batch, Cost]:
        x_prev = guide.corrected(tilt, x_t, step_t).sample(key)
        return x_prev, -weighing.corrected(tilt, x_t, step_t).log_ratio(x_prev)

    @jax.checkpoint
    def down(at: tuple[Batch, Cost], step_t: Step) -> tuple[tuple[Batch, Cost], None]:
        x_t, total = at
        tilt = guide.twist.step(diffusion, x_t, step_t)
        x_prev, gained = moved(tilt, x_t, step_t, _move_key(key, step_t.t))
        return (x_prev, total + gained), None

    start_key = jax.random.fold_in(key, diffusion.num_steps + 1)
    at_first = moved(guide.twist.start(diffusion, num), *before_first(diffusion, num), start_key)
    (x_1, total), _ = jax.lax.scan(down, at_first, diffusion.steps[1:], reverse=True)
    tilt = guide.twist.finish(diffusion, x_1)
    if guide.ends_exactly:
        return total + tilt.log_twist
    x_0, gained = moved(tilt, x_1, diffusion.steps[0], _move_key(key, 0))
    return total + gained + observation.log_prob(x_0)


def lower_bound(
    diffusion: StepLaws, guide: LearnedTwist, observation: AbstractObservation, key: PRNGKey, num: int
) -> Float[Array, ""]:
    """The mean log-weight of `num` paths, whose gradient is that of the bound for bits too."""
    found = log_weights(diffusion, guide, observation, key, num)
    bound = found.mean()
    if diffusion.kernel.reparametrised:
        return bound
    apart = jax.lax.stop_gradient(found - bound)
    by_variance = -(apart * found).sum() / (num - 1)
    return jax.lax.stop_gradient(bound - by_variance) + by_variance


def _move_key(key: PRNGKey, t: Array | int) -> PRNGKey:
    """As `particles.run` has it, so that both make the same draws."""
    return jax.random.split(jax.random.fold_in(key, t))[1]


@eqx.filter_jit
def start(
    diffusion: StepLaws, cases: Cases, reader: Reader, network: AbstractNetwork, settings: Settings, key: PRNGKey
):
    """The state before the first update."""
    svi, batch = _svi(diffusion, cases, reader, network, settings), jnp.arange(settings.num_observations)
    return init(svi, key, batch)


@eqx.filter_jit
def updates(
    state: TrainingState,
    diffusion: StepLaws,
    cases: Cases,
    reader: Reader,
    network: AbstractNetwork,
    settings: Settings,
    length: Int[Array, ""],
) -> tuple[TrainingState, Float[Array, " update"]]:
    """`length` updates, and the loss of each; `UPDATES_PER_CHUNK` at most."""
    svi = _svi(diffusion, cases, reader, network, settings)
    svi.init(state.svi_state.rng_key, jnp.arange(settings.num_observations))  # what `svi.update` needs to know of sites

    def update(place: Any, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
        state, losses = carry
        key = jax.random.fold_in(state.data_key, state.num_updates)
        batch = jax.random.choice(key, cases.num, (settings.num_observations,), replace=False)
        state, loss = step(svi, state, batch, averaging=AVERAGING)
        return state, losses.at[place].set(loss)

    return jax.lax.fori_loop(0, length, update, (state, jnp.zeros(UPDATES_PER_CHUNK)))


def _svi(diffusion: StepLaws, cases: Cases, reader: Reader, network: AbstractNetwork, settings: Settings) -> SVI:
    def model(batch: Int[Array, " observation"]) -> None:
        trained = eqx_module("guide", network)

        def of_one(number: Array, key: PRNGKey) -> Array:
            observation, twist = cases[number]
            guide = LearnedTwist(twist, trained, reader(observation))
            return lower_bound(diffusion, guide, observation, key, settings.num_particles)

        bounds = jax.vmap(of_one)(batch, jax.random.split(prng_key(), len(batch)))
        numpyro.factor("lower bound", bounds.mean())

    def guide(batch: Int[Array, " observation"]) -> None:
        """Nothing is left to draw: paths are drawn where they are weighed."""

    rate = optax.cosine_decay_schedule(settings.learning_rate, max(settings.num_updates, 1), 0.01)
    return SVI(model, guide, optax.chain(optax.clip_by_global_norm(MOST_GRADIENT), optax.adam(rate)), Trace_ELBO())


def network_of(state: TrainingState, network: AbstractNetwork) -> AbstractNetwork:
    """The network with the averaged parameters of a training."""
    return eqx.combine(state.chosen[params_site("guide")], network)
