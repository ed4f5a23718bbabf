"""Particle Gibbs: sequential Monte Carlo that one path survives, again and again (Andrieu, Doucet and Holenstein 2010).

Each sweep runs the particles down the chain beside the path of the sweep before, which may change its past on the way
(ancestor sampling, Lindsten, Jordan and Schön 2014), and keeps one of the paths by its weight. The sweeps are a Markov
chain whose law is the posterior of the whole path for any number of particles, two included.

Of the evidence a sweep tells the reciprocal: at stationarity E[1 / Z_hat] = 1 / Z.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from dpm_ppl._common.types import Array, Batch, Cost, Float, Int, PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt
from dpm_ppl.schedules.steps import Step
from dpm_ppl.smc.resampling import multinomial


class Sweep(NamedTuple):
    """What one sweep leaves."""

    path: Batch
    """x_0 ... x_T, `(T + 1, *event_shape)`."""
    log_evidence: Float[Array, ""]
    renewed: Float[Array, ""]
    """Share of x_1 ... x_T that the kept path does not share with the one before."""


class _At(NamedTuple):
    particles: Batch
    log_weights: Cost
    log_evidence: Float[Array, ""]


def first_path(diffusion: StepLaws, twist: AbstractTwist, key: PRNGKey) -> Batch:
    """One path by the tilted moves, `(T + 1, *event_shape)`, to start from."""

    def down(x_t: Batch, step: Step) -> tuple[Batch, Batch]:
        return twist.step(diffusion, x_t, step).sample(jax.random.fold_in(key, step.t)), x_t

    x_T = twist.start(diffusion, 1).sample(jax.random.fold_in(key, diffusion.num_steps + 1))
    x_1, above = jax.lax.scan(down, x_T, diffusion.steps[1:], reverse=True)
    x_0 = twist.finish(diffusion, x_1).sample(jax.random.fold_in(key, 0))
    return jnp.concatenate([x_0.astype(x_1.dtype)[None], x_1[None], above])[:, 0]


@eqx.filter_jit
def sweeps(
    diffusion: StepLaws,
    twist: AbstractTwist,
    observation: AbstractObservation,
    path: Batch,
    keys: Array,
    num_particles: int,
) -> tuple[Batch, Sweep]:
    """One sweep for each key; the path after them, and of each its x_0 in place of its path."""

    def one(path: Batch, key: PRNGKey) -> tuple[Batch, Sweep]:
        made = sweep(diffusion, twist, observation, path, key, num_particles)
        return made.path, made._replace(path=made.path[0])

    return jax.lax.scan(one, path, keys)


def sweep(
    diffusion: StepLaws,
    twist: AbstractTwist,
    observation: AbstractObservation,
    path: Batch,
    key: PRNGKey,
    num_particles: int,
) -> Sweep:
    """One sweep beside `path`; the last of the particles is always the path's own."""
    start = twist.start(diffusion, num_particles)
    x_T = start.sample(jax.random.fold_in(key, diffusion.num_steps + 1)).at[-1].set(path[-1])
    none = jnp.zeros((), start.log_twist.dtype)
    at = _At(x_T, -start.log_ratio(x_T) - jnp.log(num_particles), none)

    def move(at: _At, tilt: AbstractTilt, kept: Batch, key: PRNGKey) -> tuple[_At, Array, AbstractTilt]:
        resample_key, ancestor_key, move_key = jax.random.split(key, 3)
        log_weights = at.log_weights + tilt.log_twist
        log_mean = logsumexp(log_weights)
        log_weights = log_weights - log_mean
        ancestors = multinomial(resample_key, log_weights)
        # The past of the kept path: where could its next point have come from?
        to_kept = tilt.log_prior(jnp.broadcast_to(kept, at.particles.shape)) - tilt.log_twist
        own = jax.random.categorical(ancestor_key, log_weights + to_kept)
        ancestors = ancestors.at[-1].set(own)
        tilt = tilt.of(ancestors)
        moved = tilt.sample(move_key).astype(at.particles.dtype).at[-1].set(kept)
        return (
            _At(moved, jnp.full_like(log_weights, -jnp.log(num_particles)), at.log_evidence + log_mean),
            ancestors,
            tilt,
        )

    def down(at: _At, inputs: tuple[Step, Batch]) -> tuple[_At, tuple[Batch, Int[Array, " particle"]]]:
        step, kept = inputs
        tilt = twist.step(diffusion, at.particles, step)
        after, ancestors, tilt = move(at, tilt, kept, jax.random.fold_in(key, step.t))
        log_weights = after.log_weights - tilt.log_twist - tilt.log_ratio(after.particles)
        return after._replace(log_weights=log_weights), (at.particles, ancestors)

    kept_below = path[1:-1]  # x_1 ... x_{T-1}, where the steps 2 ... T lead
    at, (above, ancestors) = jax.lax.scan(down, at, (diffusion.steps[1:], kept_below), reverse=True)
    tilt = twist.finish(diffusion, at.particles)
    last, last_ancestors, tilt = move(at, tilt, path[0], jax.random.fold_in(key, 0))
    log_weights = last.log_weights
    if not twist.ends_exactly:
        log_weights += observation.log_prob(last.particles) - tilt.log_twist - tilt.log_ratio(last.particles)
    log_evidence = last.log_evidence + logsumexp(log_weights)
    chosen = jax.random.categorical(jax.random.fold_in(key, diffusion.num_steps + 2), log_weights)

    def up(index: Array, inputs: tuple[Batch, Array]) -> tuple[Array, Batch]:
        particles, ancestors = inputs
        return ancestors[index], particles[ancestors[index]]

    first = last_ancestors[chosen]
    _, rest = jax.lax.scan(up, first, (above, ancestors))
    new = jnp.concatenate([last.particles[chosen][None], at.particles[first][None], rest])
    moved = (new[1:] != path[1:]).reshape(diffusion.num_steps, -1).any(axis=1)
    return Sweep(new, log_evidence, moved.mean())
