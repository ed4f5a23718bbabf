"""An update of a diffusion guide as one would write it by hand for one model, in JAX and Optax alone.

The estimator is that of `PathDerivativeELBO` for an `AutoDiffusion` on a normal base that is held, with the chains of
`Bridge`: the score clipped, the density of the chain that generates with its parameters held.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax


def negative_bound(
    pair: Any, log_joint: Callable, loc: jax.Array, scale_tril: jax.Array, key: jax.Array, num_particles: int
) -> jax.Array:
    """The mean of -log w over paths; `pair` is a `Bridge`, of which only the parameters are used."""
    steps = pair.schedule.steps()
    held = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, pair.out)
    log_det = jnp.sum(jnp.log(jnp.diagonal(scale_tril)))

    def score(x: jax.Array) -> jax.Array:
        gradient = jax.grad(lambda x: log_joint(loc + scale_tril @ x))(x) + x
        return jnp.clip(gradient, -10.0, 10.0)

    def law(chain: Any, x: jax.Array, s: jax.Array, step: Any) -> tuple[jax.Array, jax.Array]:
        outputs = chain.network(x, step)
        a = jnp.exp(step.log_beta)
        mean = jnp.exp(0.5 * step.log_alpha) * x + a * (outputs[:, 0] + chain.pulls[step.t - 1] * s)
        log_scale = 0.5 * step.log_beta + chain.log_scales[step.t - 1] + 3 * jnp.tanh(outputs[:, 1] / 3)
        return mean, log_scale

    def log_normal(x: jax.Array, mean: jax.Array, log_scale: jax.Array) -> jax.Array:
        return jnp.sum(-0.5 * jnp.square((x - mean) * jnp.exp(-log_scale)) - log_scale - 0.5 * jnp.log(2 * jnp.pi))

    def log_weight(key: jax.Array) -> jax.Array:
        noises = jax.random.normal(key, (len(steps) + 1, len(loc)))

        def move(carry: Any, at: Any) -> tuple[Any, None]:
            x, s, total = carry
            step, noise = at
            mean, log_scale = law(pair.out, x, s, step)
            later = mean + jnp.exp(log_scale) * noise
            s_later = score(later)
            total -= log_normal(later, *law(held, x, s, step))
            total += log_normal(x, *law(pair.back, later, s_later, step))
            return (later, s_later, total), None

        x_0 = noises[0]
        start = x_0, score(x_0), -log_normal(x_0, jnp.zeros_like(x_0), jnp.zeros_like(x_0))
        (x_end, _, total), _ = jax.lax.scan(move, start, (steps, noises[1:]))
        return total + log_joint(loc + scale_tril @ x_end) + log_det

    return -jnp.mean(jax.vmap(log_weight)(jax.random.split(key, num_particles)))


def training_loop(loss: Callable, optimiser: optax.GradientTransformation, num_updates: int) -> Callable:
    """The compiled loop from parameters, optimiser state and key to these and the losses."""

    @jax.jit
    def run(arrays: Any, state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        def update(carry: Any, _: None) -> tuple[Any, jax.Array]:
            arrays, state, key = carry
            key, loss_key = jax.random.split(key)
            value, gradient = jax.value_and_grad(loss)(arrays, loss_key)
            change, state = optimiser.update(gradient, state, arrays)
            return (optax.apply_updates(arrays, change), state, key), value

        return jax.lax.scan(update, (arrays, state, key), length=num_updates)

    return run
