"""Sequential Monte Carlo down the reverse chain, towards an observation.

These are twisted particle filters (Whiteley and Lee 2014), for diffusions as in Trippe et al. (2023) and Wu et al.
(2023).

The particles at t stand for pi(x_T) prod_{s>t} p(x_{s-1} | x_s) r_t(x_t), with the twist r_t. They move by the tilted
laws of an `AbstractTwist`, and each move multiplies a weight by p(x_{t-1} | x_t) r_{t-1}(x_{t-1}) over r_t(x_t) times
the law that was drawn from. After the last step r_0 is the observation itself, so the product of the mean weights is an
unbiased estimate of the evidence E_p[r(x_0)], whatever the twists and the resampling. The network is evaluated once per
step, on as many particles side by side as the memory budget allows.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from dpm_ppl._common.sums import add_exactly
from dpm_ppl._common.types import Array, Batch, Float, Int, PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.side_by_side import led, within_budget
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt
from dpm_ppl.schedules.steps import Step
from dpm_ppl.smc.adaptive import Info, normalised, resample_if_few
from dpm_ppl.smc.resampling import LogWeights, Resample


class State(NamedTuple):
    """Particles that have come to some x_t; a pytree of arrays."""

    particles: Batch
    log_weights: LogWeights
    """Normalised, but for the twist of the place that the particles have come to."""
    log_evidence: Float[Array, ""]
    """The logarithm of the product of mean weights."""
    rounding: Float[Array, ""]
    """What additions to `log_evidence` have rounded away."""
    eves: Int[Array, " particle"]
    """Which of the first particles each one descends from."""
    num_resampled: Int[Array, ""]
    variance: Float[Array, ""]
    """Of the weights that were given up by resampling: the sum of 1 / ess - 1 / N."""


def init(diffusion: StepLaws, twist: AbstractTwist, key: PRNGKey, num_particles: int) -> State:
    """Particles at x_T."""
    start = twist.start(diffusion, num_particles)
    x_T = start.sample(key)
    log_weights = -start.log_ratio(x_T) - jnp.log(num_particles)
    none = jnp.zeros((), log_weights.dtype)
    return State(x_T, log_weights, none, none, jnp.arange(num_particles), jnp.asarray(0), none)


def step(
    diffusion: StepLaws,
    twist: AbstractTwist,
    state: State,
    step_t: Step,
    key: PRNGKey,
    *,
    resample: Resample,
    threshold: float,
    side_by_side: int,
) -> tuple[State, Info]:
    """From t to t - 1, for t >= 2: take the weights, resample if need be, move.

    `side_by_side` particles at a time are led by the twist.

    `resample` is one of the functions of `dpm_ppl.smc.resampling`; `threshold` the share of the particles at or below
    which the effective sample size calls for it: 0 never does, 1 does at every step.
    """
    resample_key, move_key = jax.random.split(key)
    tilt = led(diffusion, twist, state.particles, step_t, side_by_side)
    state, tilt, info = _chosen(state, tilt, resample_key, resample, threshold)
    x_prev = tilt.sample(move_key)
    log_weights = state.log_weights - tilt.log_twist - tilt.log_ratio(x_prev)
    return state._replace(particles=x_prev, log_weights=log_weights), info


def finish(
    diffusion: StepLaws,
    twist: AbstractTwist,
    observation: AbstractObservation,
    state: State,
    key: PRNGKey,
    *,
    resample: Resample,
    threshold: float,
    side_by_side: int,
) -> tuple[State, Info]:
    """The last step, from x_1 to x_0; the weights are normalised after it."""
    resample_key, move_key = jax.random.split(key)
    tilt = led(diffusion, twist, state.particles, None, side_by_side)
    state, tilt, info = _chosen(state, tilt, resample_key, resample, threshold)
    x_0 = tilt.sample(move_key)
    log_weights = state.log_weights
    if not twist.ends_exactly:
        log_weights = log_weights + observation.log_prob(x_0) - tilt.log_twist - tilt.log_ratio(x_0)
    return _normalised(state._replace(particles=x_0, log_weights=log_weights)), info


def run(
    diffusion: StepLaws,
    twist: AbstractTwist,
    observation: AbstractObservation,
    key: PRNGKey,
    num_particles: int,
    resample: Resample,
    threshold: float,
) -> tuple[State, Float[Array, " T"]]:
    """All particles from x_T to x_0, and the effective sample sizes at x_1 ... x_T. Memory does not grow with T."""
    side_by_side = within_budget(diffusion, twist, num_particles)
    return _run(diffusion, twist, observation, key, num_particles, resample, threshold, side_by_side)


@eqx.filter_jit
def _run(
    diffusion: StepLaws,
    twist: AbstractTwist,
    observation: AbstractObservation,
    key: PRNGKey,
    num_particles: int,
    resample: Resample,
    threshold: float,
    side_by_side: int,
) -> tuple[State, Float[Array, " T"]]:
    options = {"resample": resample, "threshold": threshold, "side_by_side": side_by_side}

    def down(state: State, step_t: Step) -> tuple[State, Float[Array, ""]]:
        step_key = jax.random.fold_in(key, step_t.t)
        state, info = step(diffusion, twist, state, step_t, step_key, **options)
        return state, info.ess

    start = init(diffusion, twist, jax.random.fold_in(key, diffusion.num_steps + 1), num_particles)
    state, ess = jax.lax.scan(down, start, diffusion.steps[1:], reverse=True)
    state, last = finish(diffusion, twist, observation, state, jax.random.fold_in(key, 0), **options)
    return state, jnp.concatenate([last.ess[None], ess])


def descend_unweighted(diffusion: StepLaws, twist: AbstractTwist, key: PRNGKey, num: int) -> Batch:
    """Draws of x_0 by the tilted moves alone; what weights would say of them is not looked at."""
    return _descend_unweighted(diffusion, twist, key, num, within_budget(diffusion, twist, num))


@eqx.filter_jit
def _descend_unweighted(diffusion: StepLaws, twist: AbstractTwist, key: PRNGKey, num: int, side_by_side: int) -> Batch:
    def down(x_t: Batch, step_t: Step) -> tuple[Batch, None]:
        tilt = led(diffusion, twist, x_t, step_t, side_by_side)
        return tilt.sample(jax.random.fold_in(key, step_t.t)), None

    x_T = twist.start(diffusion, num).sample(jax.random.fold_in(key, diffusion.num_steps + 1))
    x_1, _ = jax.lax.scan(down, x_T, diffusion.steps[1:], reverse=True)
    return led(diffusion, twist, x_1, None, side_by_side).sample(jax.random.fold_in(key, 0))


def relative_variance(state: State) -> Float[Array, ""]:
    """Of the estimate of the evidence, from one run.

    Without resampling it is that of importance sampling. With it, it is the sum of two estimates. One goes by how the
    weight is shared among the lines of the first particles (Lee and Whiteley 2018, section 3); where all weight comes
    from one particle it is 1, and the run says nothing of its own error. The other adds up what the weights between two
    resamplings vary by. Each by itself is too small for weights with heavy tails, or other than multinomial resampling;
    their sum covers (`tests/posterior/test_conjugate.py`).
    """
    num = len(state.log_weights)
    share = jnp.zeros(num).at[state.eves].add(jnp.exp(state.log_weights))
    growth = (state.num_resampled + 1) * jnp.log1p(1 / (num - 1))
    by_lines = 1 - jnp.exp(growth) * (1 - (share**2).sum())
    by_weights = state.variance + jnp.maximum(jnp.exp(logsumexp(2 * state.log_weights)) - 1 / num, 0.0)
    return jnp.where(state.num_resampled > 0, jnp.maximum(by_lines, 0.0) + by_weights, by_weights)


def num_lines(state: State) -> Int[Array, ""]:
    """How many of the first particles have descendants left."""
    num = len(state.log_weights)
    return (jnp.zeros(num).at[state.eves].max(jnp.exp(state.log_weights)) > 0).sum()


def _chosen(
    state: State, tilt: AbstractTilt, key: PRNGKey, resample: Resample, threshold: float
) -> tuple[State, AbstractTilt, Info]:
    """The weights with the twist of where the particles are; and the particles that live on."""
    state = _normalised(state._replace(log_weights=state.log_weights + tilt.log_twist))
    log_weights, info = resample_if_few(key, state.log_weights, resample, threshold)
    given_up = jnp.where(info.resampled, 1 / info.ess - 1 / len(log_weights), 0.0)
    state = state._replace(
        particles=state.particles[info.ancestors],
        log_weights=log_weights,
        eves=state.eves[info.ancestors],
        num_resampled=state.num_resampled + info.resampled,
        variance=state.variance + given_up,
    )
    return state, tilt.of(info.ancestors), info


def _normalised(state: State) -> State:
    log_weights, log_mean = normalised(jnp.where(jnp.isnan(state.log_weights), -jnp.inf, state.log_weights))
    log_evidence, rounding = add_exactly(state.log_evidence, state.rounding, log_mean)
    return state._replace(log_weights=log_weights, log_evidence=log_evidence, rounding=rounding)
