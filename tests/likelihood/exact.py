"""Probabilities of data under small diffusions, by sums and integrals over all paths through the library's own laws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np


def bits(num: int) -> np.ndarray:
    """All vectors of `num` bits."""
    return np.array(list(itertools.product((0, 1), repeat=num)))


def probabilities_of_bits(diffusion) -> np.ndarray:
    """p(x_0) of every vector of bits, from matrices of the reverse laws."""
    states = jnp.asarray(bits(diffusion.num_coordinates))

    def matrix(law_at):
        """Row: x_t, column: x_{t-1}."""
        return np.exp(np.asarray(jax.vmap(lambda x_t: law_at(x_t).log_prob(states))(states), np.float64))

    probability = np.exp(np.asarray(diffusion.stationary().log_prob(states), np.float64))
    for t in range(diffusion.num_steps, 1, -1):
        probability = probability @ matrix(lambda x_t, t=t: diffusion.reverse(x_t[None], diffusion.steps[t - 1]))
    return probability @ matrix(lambda x_1: diffusion.edge_law(x_1[None]))


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
