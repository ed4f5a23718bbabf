"""Probabilities of data under small diffusions, by sums and integrals over all paths through the library's own laws."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def bits(num: int) -> np.ndarray:
    """All vectors of `num` bits."""
    return np.array(list(itertools.product((0, 1), repeat=num)))


def probabilities_of_bits(diffusion) -> np.ndarray:
    """p(x_0) of every vector of bits, from matrices of the reverse laws."""
    return probabilities_of(diffusion, bits(diffusion.num_coordinates))


def probabilities_of(diffusion, states: np.ndarray) -> np.ndarray:
    """p(x_0) of all states that there are, likewise."""
    at_end, _, reverse = _tables(diffusion, jnp.asarray(states))
    probability = np.exp(np.asarray(at_end, np.float64))
    for step in np.asarray(reverse, np.float64)[::-1]:
        probability = probability @ np.exp(step)
    return probability


def bounds_of(diffusion, states: np.ndarray) -> np.ndarray:
    """K(x_0) of all states that there are, as the paper's equation 12 has it: no bridge and no divergence."""
    at_end, *tables = (np.asarray(table, np.float64) for table in _tables(diffusion, jnp.asarray(states)))
    marginal, bound = np.eye(len(states)), np.zeros(len(states))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.multiply(marginal, values, where=marginal > 0, out=np.zeros_like(marginal)).sum(axis=1)

    for forward, reverse in zip(*tables, strict=True):
        possible = np.isfinite(forward)
        ratio = np.subtract(reverse.T, forward, where=possible, out=np.zeros_like(forward))
        bound = bound + mean((np.exp(forward) * ratio).sum(axis=1))
        marginal = marginal @ np.exp(forward)
    return bound + mean(at_end)


@eqx.filter_jit
def _tables(diffusion, states):
    """log pi, and the forward and reverse laws of every step, `(step, state it is told, state it draws)`."""

    def table(law):
        return jax.vmap(lambda to: law.log_prob(jnp.broadcast_to(to, states.shape)), out_axes=1)(states)

    forward = jax.vmap(lambda step: table(diffusion.transition(states, step)))(diffusion.steps)
    reverse = jax.vmap(lambda step: table(diffusion.reverse(states, step)))(diffusion.steps)
    return diffusion.stationary().log_prob(states), forward, reverse.at[0].set(table(diffusion.edge_law(states)))


def density_of_scalars(diffusion, x_0: np.ndarray, half_width: float = 9.0, num_points: int = 3001) -> np.ndarray:
    """p(x_0) of scalar data by the trapezoidal rule over x_T ... x_1, exact to rounding for smooth reverse laws."""
    grid = jnp.linspace(-half_width, half_width, num_points)
    spacing = float(grid[1] - grid[0])

    def matrix(law, targets):
        return np.exp(np.asarray(jax.vmap(law.log_prob)(jnp.asarray(targets)), np.float64)).T * spacing

    density = np.exp(np.asarray(diffusion.stationary().log_prob(grid), np.float64))
    for t in range(diffusion.num_steps, 1, -1):
        density = density @ matrix(diffusion.reverse(grid, diffusion.steps[t - 1]), grid)
    return density @ matrix(diffusion.edge_law(grid), x_0)
