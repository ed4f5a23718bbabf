"""`mixture`: of Gaussians, of independent bits, of independent levels. The component is summed out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.infer import Trace_ELBO

from dpm_ppl._common.types import Array, Batch
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.experiments import Recipe
from dpm_ppl.methods.program import Program
from dpm_ppl.models._parts import adam
from dpm_ppl.models.methods._parts import held, num_data, some_data
from dpm_ppl.models.methods.gaussian import moments, of_shape
from dpm_ppl.models.methods.observations import Observations, counts_of, shares

MOST_LEVELS = 64


def mixture(train: Dataset, seed: int = 0) -> Recipe:
    """A mixture of at most 200 full Gaussians, or of at most 64 products of Bernoulli or categorical laws.

    Data with more levels than 64, as photographs, get Gaussians, of the dequantised data.

    Each component begins as the moments or shares of one cluster of the training data, as k-means finds them from a
    random start.
    """
    continuous = train.units.is_real or (train.units.num_levels or 0) > MOST_LEVELS
    return Recipe(
        method=(_gaussians if continuous else _products)(train, seed),
        objective=Trace_ELBO(),
        optimiser=partial(adam, learning_rate=1e-2),
        num_updates=2_000 if continuous else 500,
        batch_size=min(256, train.num_points),
    )


def clusters(values: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """The number of the cluster of each datum, by k-means; no more clusters than there are different data."""
    from sklearn.cluster import KMeans  # takes a second to import, and only this function needs it

    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    num_clusters = min(most, len(np.unique(flat, axis=0)))
    labels = KMeans(num_clusters, n_init=1, random_state=seed).fit_predict(flat)
    return np.unique(labels, return_inverse=True)[1]


def _gaussians(train: Dataset, seed: int) -> Program:
    values, size = some_data(train), train.units.num_coordinates
    # So many that each has at least twenty data for each of its dimensions.
    labels = clusters(train.units.standardise(values), int(np.clip(len(values) // (20 * size), 1, 200)), seed)
    _, pooled = moments(values, train.units)
    parts = [moments(values[labels == label], train.units) for label in range(labels.max() + 1)]
    counts = np.bincount(labels)
    # A cluster of few data borrows from all of them.
    shrunk = [
        (count * covariance + pooled * size * 1e-3) / (count + size * 1e-3)
        for count, (_, covariance) in zip(counts, parts, strict=True)
    ]
    log_share = jnp.asarray(np.log(counts / len(labels)), float)
    start_locs = jnp.asarray(np.stack([mean for mean, _ in parts]), float)
    start_scale_trils = jnp.asarray(np.linalg.cholesky(np.stack(shrunk)), float)
    unit = jnp.broadcast_to(jnp.eye(size), start_scale_trils.shape)

    def model(x_0: Batch | None = None, num_points: int | None = None) -> Array:
        components = dist.Categorical(logits=numpyro.param("log_shares", log_share))
        # Each component moves in units of its own start, so that one learning rate suits narrow and wide ones.
        locs, scale_trils = held("start_loc", start_locs), held("start_scale_tril", start_scale_trils)
        move = numpyro.param("loc", jnp.zeros(locs.shape))
        stretch = numpyro.param("scale_tril", unit, constraint=constraints.lower_cholesky)
        loc = locs + (scale_trils @ move[..., None])[..., 0]
        law = dist.MixtureSameFamily(components, dist.MultivariateNormal(loc, scale_tril=scale_trils @ stretch))
        with numpyro.plate("data", num_data(x_0, num_points)):
            return numpyro.sample("x_0", of_shape(law, train.event_shape), obs=x_0)

    return Program(model, event_shape=train.event_shape)


def _products(train: Dataset, seed: int) -> Program:
    values, units = some_data(train), train.units
    labels = clusters(values, int(np.clip(len(values) // 20, 1, 64)), seed)
    num_values = units.num_levels or 2
    counts = np.stack([counts_of(values[labels == label], num_values) for label in range(labels.max() + 1)])
    observations, background = Observations.of(train), shares(counts.sum(axis=0))
    size = counts[..., :1, :].sum(axis=-1, keepdims=True)
    weight = background_weight(counts, background)
    log_background = jnp.asarray(np.log(weight / (size + weight) * background), float)
    log_own = jnp.asarray(np.log(size / (size + weight)), float)
    starts = jnp.asarray(np.log((counts + 0.01 * background) / (size + 0.01)), float)
    log_share = jnp.asarray(np.log(np.bincount(labels) / len(labels)), float)

    def model(x_0: Batch | None = None, num_points: int | None = None) -> Array:
        components = dist.Categorical(logits=numpyro.param("log_shares", log_share))
        own = held("log_own", log_own) + jax.nn.log_softmax(numpyro.param("outputs", starts))
        outputs = jnp.logaddexp(own, held("log_background", log_background))
        outputs = outputs if units.kind == "levels" else jnp.diff(outputs)
        with numpyro.plate("data", num_data(x_0, num_points)):
            return numpyro.sample("x_0", dist.MixtureSameFamily(components, observations.law(outputs)), obs=x_0)

    return Program(model, event_shape=train.event_shape)


def background_weight(counts: np.ndarray, background: np.ndarray) -> float:
    """How many data of the law of all data to put to those of each cluster, `(cluster, *event_shape, value)` counts.

    It is the number under which each datum is most likely in its cluster without itself: leaving-one-out (Ney, Essen
    and Kneser 1994).
    """
    size = counts.sum(axis=-1, keepdims=True)

    def score(weight: float) -> float:
        left = np.maximum(counts - 1, 0) + weight * background
        return float((counts * (np.log(left) - np.log(size - 1 + weight))).sum())

    return float(max(2.0 ** np.arange(-10, 8), key=score))
