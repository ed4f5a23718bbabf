"""`gaussian`, which every other method must pass: one Gaussian of full covariance, or independent bits."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.infer import Trace_ELBO

from dpm_ppl._common.types import Array, Batch
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.rows import Source, chunks, in_order
from dpm_ppl.data.units import Units
from dpm_ppl.experiments import Recipe
from dpm_ppl.methods.program import Program
from dpm_ppl.models._parts import adam
from dpm_ppl.models.methods._parts import num_data
from dpm_ppl.models.methods.observations import Observations


def gaussian(train: Dataset, seed: int = 0) -> Recipe:
    """One Gaussian of full covariance, for levels that of the dequantised data; for bits, independent Bernoulli laws.

    It begins at the moments of the training data, which are its maximum-likelihood estimate, whatever the seed.
    """
    return Recipe(
        method=_bits(train) if train.units.kind == "binary" else _full(train),
        objective=Trace_ELBO(),
        optimiser=partial(adam, learning_rate=1e-5),
        num_updates=100,
        batch_size=min(256, train.num_points),
    )


def moments(values: Source, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of standardised data from data as given, flattened, in float64; levels as dequantised."""
    shift, scale = (np.broadcast_to(part, units.event_shape).ravel() for part in (units.shift, units.scale))
    widths = units.widths.ravel()
    total, products = np.zeros(len(scale)), np.zeros((len(scale), len(scale)))
    for _, chunk in chunks(in_order(values)):
        z = (chunk.reshape(len(chunk), -1) + widths / 2 - shift) / scale
        total, products = total + z.sum(axis=0), products + z.T @ z
    mean = total / len(values)
    covariance = products / len(values) - np.outer(mean, mean) + np.diag(widths**2 / 12 / scale**2)
    # The ridge gives coordinates that are constant, or sums of others, a density; each in its own scale.
    variance = np.diag(covariance)
    return mean, covariance + 1e-6 * np.diag(np.where(variance > 0, variance, variance.mean()))


def of_shape(law: dist.Distribution, event_shape: tuple[int, ...]) -> dist.Distribution:
    """The law of a vector as that of data of another shape."""
    if law.event_shape == event_shape:
        return law
    return dist.TransformedDistribution(law, dist.transforms.ReshapeTransform(event_shape, law.event_shape))


def _full(train: Dataset) -> Program:
    mean, covariance = moments(train.source, train.units)
    start = jnp.asarray(mean, float), jnp.asarray(np.linalg.cholesky(covariance), float)

    def model(x_0: Batch | None = None, num_points: int | None = None) -> Array:
        loc = numpyro.param("loc", start[0])
        scale_tril = numpyro.param("scale_tril", start[1], constraint=constraints.lower_cholesky)
        law = dist.MultivariateNormal(loc, scale_tril=scale_tril)
        with numpyro.plate("data", num_data(x_0, num_points)):
            return numpyro.sample("x_0", of_shape(law, train.event_shape), obs=x_0)

    return Program(model, event_shape=train.event_shape)


def _bits(train: Dataset) -> Program:
    observations = Observations.of(train)

    def model(x_0: Batch | None = None, num_points: int | None = None) -> Array:
        outputs = numpyro.param("outputs", jnp.asarray(observations.baseline, float))
        with numpyro.plate("data", num_data(x_0, num_points)):
            return numpyro.sample("x_0", observations.law(outputs), obs=x_0)

    return Program(model, event_shape=train.event_shape)
