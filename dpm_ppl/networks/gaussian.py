"""`GaussianNetwork`: starts as the best network for a Gaussian of full covariance, and learns what differs from it."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Datum, Float
from dpm_ppl.networks.base import AbstractNetwork, AbstractOuterNetwork, flatten
from dpm_ppl.networks.clean import READOUT, outputs_of
from dpm_ppl.schedules.steps import Step


class GaussianNetwork(AbstractOuterNetwork):
    """Outputs for the `noise_prediction` readout: those best for data from N(mean, covariance), plus a network's.

    For such data the mean and variance of x_0 given x_t are known,

        E[x_0 | x_t] = mean + a C (a^2 C + n I)^-1 (x_t - a mean),    Cov[x_0 | x_t] = n C (a^2 C + n I)^-1

    with a^2 = alpha_bar_t and n = 1 - alpha_bar_t. An untrained chain of many steps has the log-density of the Gaussian
    itself for its K, but for the correlations that a reverse step lacks: of the order of one step's rate.

    **Arguments:** `network`, with two outputs per coordinate; `mean`, `(size,)`, and `variances` and `axes`, the
    eigenvalues of the covariance and its eigenvectors as columns, all of flattened standardised data. Training leaves
    these as they are.
    """

    network: AbstractNetwork
    mean: Float[Array, " size"]
    variances: Float[Array, " size"]
    axes: Float[Array, "size size"]
    made_for: ClassVar[str] = READOUT

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        mean, variances, axes = jax.lax.stop_gradient((self.mean, self.variances, self.axes))
        signal, noise = jnp.exp(step.log_alpha_bar), jnp.exp(step.log_noise)
        total = signal * variances + noise
        # Along each axis the location is what `location_of` gives, without the difference of two like numbers.
        along = jnp.sqrt(signal) * (1 - variances) * (flatten(x_t) @ axes) - mean @ axes
        location = axes @ (jnp.sqrt(noise) * along / total)
        variance = jnp.square(axes) @ (noise * variances / total)
        return outputs_of(location.reshape(x_t.shape), variance.reshape(x_t.shape), step) + self.network(x_t, step)


def gaussian_network(network: AbstractNetwork, mean: np.ndarray, covariance: np.ndarray) -> GaussianNetwork:
    """A `GaussianNetwork` for data of this mean and covariance, `(size,)` and `(size, size)`.

    **Raises:** `InputError` unless the covariance is positive definite.
    """
    variances, axes = np.linalg.eigh(np.asarray(covariance, np.float64))
    if not variances.min() > 0:
        raise InputError(
            "covariance",
            expected="one with positive eigenvalues",
            got=f"the smallest {variances.min():.2g}",
            remedy="add a small multiple of the variances to its diagonal",
        )
    return GaussianNetwork(network, *(jnp.asarray(part, float) for part in (mean, variances, axes)))
