"""A training loop for one diffusion as one would write it by hand, in JAX and Optax alone.

The estimator is that of `DiffusionELBO(num_sampled_steps=m)` for a Gaussian diffusion with the noise prediction readout
and the fixed edge, term by term: m steps per datum from one lattice, the edge at one draw of x_1
with log q(x_1 | x_0) less its mean as a control variate, the end point in closed form. The loop averages parameters, as
`fit` does; it does not look out for what is not finite.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax


class State(NamedTuple):
    network: Any
    average: Any
    optimiser: Any
    num_updates: jax.Array
    key: jax.Array


def negative_bound(network: Any, steps: Any, x_0: jax.Array, key: jax.Array, num_sampled_steps: int) -> jax.Array:
    """-K, summed over the batch `(datum, *event)`, in nats; `steps` holds the rates of t = 1..T."""
    offset_key, step_key, edge_key = jax.random.split(key, 3)
    num_steps, num_draws = len(steps.t), len(x_0) * num_sampled_steps

    lattice = jnp.arange(num_draws) / num_draws
    u = (jax.random.uniform(offset_key) + lattice) % 1.0
    index = 1 + jnp.minimum((u * (num_steps - 1)).astype(int), num_steps - 2)
    step = jax.tree.map(lambda rate: rate[index], steps)
    event_axes = tuple(range(1, x_0.ndim))
    rates = jax.tree.map(lambda rate: jnp.expand_dims(rate, event_axes), step)
    x_0_again = jnp.tile(x_0, (num_sampled_steps, *[1] * len(event_axes)))
    noise = jax.random.normal(step_key, x_0_again.shape)
    x_t = jnp.exp(0.5 * rates.log_alpha_bar) * x_0_again + jnp.exp(0.5 * rates.log_noise) * noise

    from_x_0 = jnp.exp(0.5 * rates.log_alpha_bar_prev + rates.log_beta - rates.log_noise)
    from_x_t = jnp.exp(0.5 * rates.log_alpha + rates.log_noise_prev - rates.log_noise)
    bridge_mean = from_x_0 * x_0_again + from_x_t * x_t
    log_ratio = rates.log_noise - rates.log_noise_prev
    bridge_log_variance = rates.log_beta - log_ratio

    outputs = jax.vmap(network)(x_t, step)
    pull = jnp.exp(0.5 * (rates.log_alpha_bar_prev - rates.log_noise) + rates.log_beta)
    reverse_mean = jnp.exp(0.5 * rates.log_alpha) * x_t - pull * outputs[..., 0]
    reverse_log_variance = rates.log_beta + jnp.tanh(0.5 * outputs[..., 1]) * log_ratio
    excess = bridge_log_variance - reverse_log_variance
    miss = jnp.square(bridge_mean - reverse_mean) * jnp.exp(-reverse_log_variance)
    divergences = (num_steps - 1) / num_sampled_steps * 0.5 * jnp.sum(jnp.exp(excess) + miss - 1 - excess)

    first, last = jax.tree.map(lambda rate: rate[0], steps), jax.tree.map(lambda rate: rate[-1], steps)
    scale = jnp.exp(0.5 * first.log_beta)
    noise = jax.random.normal(edge_key, x_0.shape)
    x_1 = jnp.exp(0.5 * first.log_alpha) * x_0 + scale * noise
    residual = (x_0 - jnp.exp(0.5 * first.log_alpha) * x_1) / scale
    surprise = 0.5 * jnp.sum(1 - jnp.square(noise))
    edge = -0.5 * jnp.sum(jnp.square(residual) + first.log_beta + jnp.log(2 * jnp.pi)) - surprise

    variance, square = jnp.exp(last.log_noise), jnp.exp(last.log_alpha_bar) * jnp.square(x_0)
    end_point = 0.5 * jnp.sum(variance + square - 1 - last.log_noise)
    return divergences + end_point - edge


def initial_state(network: Any, optimiser: optax.GradientTransformation, key: jax.Array) -> State:
    arrays = eqx.filter(network, eqx.is_inexact_array)
    # Copies, because the loop consumes the state it is given.
    network, average = jax.tree.map(jnp.copy, arrays), jax.tree.map(jnp.copy, arrays)
    return State(network, average, optimiser.init(network), jnp.zeros((), int), key)


def training_loop(
    network: Any, steps: Any, optimiser: optax.GradientTransformation, *, num_sampled_steps: int, averaging: float
) -> Callable[[State, jax.Array, np.ndarray], tuple[State, jax.Array]]:
    """The compiled loop: a state, all data and the rows of each update's batch, to a state and the losses."""
    static = eqx.filter(network, eqx.is_inexact_array, inverse=True)

    def loss(arrays: Any, x_0: jax.Array, key: jax.Array) -> jax.Array:
        return negative_bound(eqx.combine(arrays, static), steps, x_0, key, num_sampled_steps)

    @partial(jax.jit, donate_argnums=0)
    def run(state: State, values: jax.Array, rows: np.ndarray) -> tuple[State, jax.Array]:
        def update(state: State, rows: jax.Array) -> tuple[State, jax.Array]:
            key, loss_key = jax.random.split(state.key)
            value, gradient = jax.value_and_grad(loss)(state.network, values[rows], loss_key)
            change, optimiser_state = optimiser.update(gradient, state.optimiser, state.network)
            arrays = optax.apply_updates(state.network, change)
            num_updates = state.num_updates + 1
            weight = (1 - averaging) / (1 - averaging**num_updates)
            average = optax.incremental_update(arrays, state.average, weight)
            return State(arrays, average, optimiser_state, num_updates, key), value

        return jax.lax.scan(update, state, rows)

    return run
