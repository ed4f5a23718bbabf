"""Normal mixtures on a grid, their exact score as a network, and their exact posteriors under linear observations.

The problems are those of Cardoso et al. (2024, MCGdiff): 25 components at (-8i, -8j), i, j = -2 ... 2, tiled over the
coordinates, unit covariance, weights proportional to squared normals; y = A x + noise, with the singular values of A
uniform over (0, 1) and the deviation of the noise uniform over (0, 1) times the largest of them.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl.networks import AbstractNetwork

SCALE = 12.0
"""By which the data are divided before the chain sees them."""


class MixtureNetwork(AbstractNetwork):
    """The best network for a mixture of normals of one variance, in the terms of `noise_prediction`."""

    means: jax.Array
    log_weights: jax.Array
    variance: float
    event_shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x_t, step):
        """Mean and variance of x_0 given x_t, coordinate by coordinate."""
        signal = jnp.exp(0.5 * step.log_alpha_bar)
        spread = step.alpha_bar * self.variance + step.noise
        apart = x_t - signal * self.means
        share = jax.nn.softmax(self.log_weights - 0.5 * (apart**2).sum(axis=1) / spread)
        centres = self.means + signal * self.variance / spread * apart
        mean = share @ centres
        variance = self.variance * step.noise / spread + share @ (centres - mean) ** 2
        log_ratio = jnp.logaddexp(step.log_noise_ratio, step.log_noise_gain + jnp.log(variance / step.noise))
        lowest = jnp.where(jnp.isneginf(step.log_noise_ratio), -1.0, step.log_noise_ratio)
        scale = 2 * jnp.arctanh(jnp.clip(-log_ratio / lowest, -0.99999, 0.99999))
        return jnp.stack([(signal * x_t - mean) * jnp.exp(-0.5 * step.log_noise), scale], axis=-1)


@dataclass(frozen=True)
class Problem:
    """A prior, an observation of it, and the posterior, itself a mixture."""

    means: np.ndarray
    weights: np.ndarray
    matrix: np.ndarray
    noise: float
    y: np.ndarray

    @classmethod
    def drawn(cls, size: int, measurements: int, seed: int) -> "Problem":
        """One of the problems with so many coordinates and measurements."""
        rng = np.random.default_rng(seed)
        grid = np.array([(-8.0 * i, -8.0 * j) for i in range(-2, 3) for j in range(-2, 3)])
        means = np.tile(grid, (1, size // 2))
        weights = rng.normal(size=25) ** 2
        weights /= weights.sum()
        left, _, right = np.linalg.svd(rng.normal(size=(measurements, size)), full_matrices=False)
        values = np.sort(rng.uniform(size=measurements))
        matrix, noise = left * values @ right, rng.uniform() * values.max()
        x = means[rng.choice(25, p=weights)] + rng.normal(size=size)
        return cls(means, weights, matrix, noise, matrix @ x + noise * rng.normal(size=measurements))

    def network(self) -> MixtureNetwork:
        """For the data divided by `SCALE`."""
        log_weights = jnp.asarray(np.log(self.weights))
        return MixtureNetwork(jnp.asarray(self.means / SCALE), log_weights, SCALE**-2, (self.means.shape[1],))

    def posterior(self) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Log evidence; weights, means and the covariance of the components."""
        covariance = self.matrix @ self.matrix.T + self.noise**2 * np.eye(len(self.y))
        inverse, apart = np.linalg.inv(covariance), self.y - self.means @ self.matrix.T
        log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
        log_joint = np.log(self.weights) - 0.5 * (np.einsum("ki,ij,kj->k", apart, inverse, apart) + log_det)
        log_z = float(np.logaddexp.reduce(log_joint))
        gain = self.matrix.T @ inverse
        return log_z, np.exp(log_joint - log_z), self.means + apart @ gain.T, np.eye(len(gain)) - gain @ self.matrix

    def exact_draws(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Of the posterior, `(num, coordinate)`."""
        _, weights, means, covariance = self.posterior()
        root = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(covariance)))
        return means[rng.choice(25, p=weights, size=num)] + rng.normal(size=(num, len(root))) @ root.T


def sliced_wasserstein_1(
    a: np.ndarray,
    b: np.ndarray,
    rng: np.random.Generator,
    *,
    weights: np.ndarray | None = None,
    num_slices: int = 100,
) -> float:
    """The mean over random directions of the distance of two sets of draws along them; `weights` are those of `b`."""
    directions = rng.normal(size=(a.shape[1], num_slices))
    directions /= np.linalg.norm(directions, axis=0)
    along = np.concatenate([a, b]) @ directions
    order = along.argsort(axis=0)
    of_b = np.full(len(b), 1 / len(b)) if weights is None else weights
    excess = np.concatenate([np.full(len(a), 1 / len(a)), -of_b])[order].cumsum(axis=0)[:-1]
    return float((np.abs(excess) * np.diff(np.take_along_axis(along, order, axis=0), axis=0)).sum(axis=0).mean())
