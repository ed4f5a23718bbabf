"""Where the training of a radial basis network begins: its units by variable projection (Golub and Pereyra 1973).

The readouts of such a network are linear, so those that are best for given centres and widths follow by least squares.
What is left is a smooth function of a few dozen numbers, which a quasi-Newton method makes small on data and noise that
stay the same; the paper's optimiser, SFO, was such a method. Gradient descent of all numbers at once does not get
there: the units that serve best are wide, so that what tells them apart is a thousandth of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import dpm_ppl as dpm

if TYPE_CHECKING:
    import jax

NUM_ITERATIONS = 300
NUM_BEGINNINGS = 6
"""Sets of centres that the quasi-Newton method begins at; it ends at different places, of which the best is kept."""
NUM_POINTS, EVERY = 1_000, 4
"""Data, and steps, that the centres and widths are fitted to; these are shared, and need not see all."""
NUM_READ_OUT, NUM_ROUNDS = 10_000, 10
"""Data that the readouts are fitted to, and how often means and variances are fitted to each other."""
RIDGE = 1e-9  # beside the mean squares of units that sum to 1


def projected(diffusion: dpm.Diffusion, train: dpm.Dataset, key: jax.Array) -> dpm.Diffusion:
    """The diffusion of real data with centres, widths and readouts of its `RBFNetwork` fitted to its training data.

    Its kernel has the readout `drift`. Made small is -K where each step and coordinate has a variance of its own,
    whatever x_t: step t then costs log(1 + v_t m_t) / 2, with m_t the mean squared error of the best readout of the
    velocity of x_t, and v_t what the bridge's mean makes of it in units of the bridge's variance. The readouts of mean
    and variance then follow step by step: weighted least squares for the one, Fisher scoring for the other.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree
    from scipy.optimize import minimize

    from dpm_ppl.kernels import drift
    from dpm_ppl.schedules.steps import Step

    keys = jax.random.split(key)
    network: Any = diffusion.network
    with jax.enable_x64(True):  # in float32 the least squares would not tell the units apart

        def double(leaf: jax.Array) -> jax.Array:
            return jnp.asarray(leaf, float) if eqx.is_inexact_array(leaf) else leaf

        def noisy(steps: Step, most: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            """x_t of every step, `(step, datum, coordinate)`, and its velocity."""
            x_0 = double(jnp.asarray(train.rows(np.arange(min(most, train.num_points)))))
            noise = jax.random.normal(key, (len(steps), *x_0.shape), float)
            kept, lost = (jnp.exp(0.5 * log)[:, None, None] for log in (steps.log_alpha_bar, steps.log_noise))
            return kept * x_0 + lost * noise, kept * noise - lost * x_0

        def least_squares(units: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
            """What makes the weighted squares of target - units @ readout least."""
            weighted = units.T * (weight / weight.sum())
            return jnp.linalg.solve(weighted @ units + RIDGE * jnp.eye(units.shape[1]), weighted @ target)

        def squared_error(network: Any, x_t: jax.Array, velocity: jax.Array) -> jax.Array:
            """Of the best readout of one step, the mean over data, `(coordinate,)`."""
            units = jax.vmap(network.units)(x_t)
            readout = least_squares(units, velocity, jnp.ones(len(x_t)))
            # Being the best, it does not move what it minimises to first order.
            return jnp.square(velocity - units @ jax.lax.stop_gradient(readout)).mean(axis=0)

        steps = jax.tree.map(double, diffusion.steps)
        network = jax.tree.map(double, network)
        _, unflatten = ravel_pytree((network.centres, network.log_widths))
        some = steps[1::EVERY]
        amplified = jnp.exp(some.log_noise_gain - some.log_noise_ratio)[:, None]

        def moved(numbers: jax.Array) -> Any:
            return eqx.tree_at(lambda one: (one.centres, one.log_widths), network, unflatten(numbers))

        @jax.jit
        @jax.value_and_grad
        def loss(numbers: jax.Array, x_t: jax.Array, velocity: jax.Array) -> jax.Array:
            error = jax.vmap(partial(squared_error, moved(numbers)))(x_t, velocity)
            return 0.5 * jnp.log1p(amplified * error).sum()

        fixed = noisy(some, NUM_POINTS, keys[0])

        def loss_and_slope(numbers: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = loss(jnp.asarray(numbers), *fixed)
            return float(value), np.asarray(slope)

        def ended(number: int) -> Any:
            """Where the method ends from the network's own centres (0), or from these moved by draws from N(0, 1)."""
            away = jax.random.normal(jax.random.fold_in(keys[0], number), network.centres.shape) * (number > 0)
            begin = ravel_pytree((network.centres + away, network.log_widths))[0]
            options = {"maxiter": NUM_ITERATIONS}
            return minimize(loss_and_slope, np.asarray(begin), jac=True, method="BFGS", options=options)

        best = min((ended(number) for number in range(NUM_BEGINNINGS)), key=lambda one: one.fun)
        network = moved(jnp.asarray(best.x))

        def readouts(one: tuple[Step, tuple[jax.Array, jax.Array]]) -> jax.Array:
            """Of one step, the weights of location and scale, `(coordinate, output, unit)`."""
            step, (x_t, velocity) = one
            units = jax.vmap(network.units)(x_t)
            ratio, target = jnp.exp(step.log_noise_ratio), -jnp.exp(0.5 * step.log_noise_gain) * velocity

            def of_coordinate(target: jax.Array) -> jax.Array:
                def better(_: Any, scale: jax.Array) -> jax.Array:
                    log_ratio = drift(jnp.zeros(()), units @ scale, jnp.zeros(()), step)[1]
                    location = least_squares(units, target, jnp.exp(-log_ratio))
                    excess = (ratio + jnp.square(target - units @ location)) * jnp.exp(-log_ratio) - 1
                    steepness = -jnp.expm1(log_ratio + step.log_beta)  # of log_ratio, as the scale rises
                    return scale + least_squares(units, excess / steepness, jnp.square(steepness))

                first = jnp.log(
                    ratio + jnp.square(target - units @ least_squares(units, target, 1.0 + 0 * target)).mean()
                )
                scale = jax.lax.fori_loop(0, NUM_ROUNDS, better, jnp.full(units.shape[1], first))
                log_ratio = drift(jnp.zeros(()), units @ scale, jnp.zeros(()), step)[1]
                return jnp.stack([least_squares(units, target, jnp.exp(-log_ratio)), scale])

            return jax.vmap(of_coordinate, in_axes=1)(target)

        weights = jax.lax.map(readouts, (steps, noisy(steps, NUM_READ_OUT, keys[1])))
        found = network.centres, network.log_widths, weights.reshape(network.readouts.weights.shape)
        found = [np.asarray(part) for part in found]

    return eqx.tree_at(
        lambda one: (one.network.centres, one.network.log_widths, one.network.readouts.weights),
        diffusion,
        [jnp.asarray(part, float) for part in found],
    )
