"""What the zoo's methods share."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from equinox.nn import MLP

from dpm_ppl._common.types import Array, Batch, PRNGKey
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.rows import read

# Where encoders and laws of real data begin: a code that says little at first is soon given up for good.
NARROW = 0.1


def held(name: str, value: Array) -> Array:
    """A constant of the model that no update moves, kept among its params so that a checkpoint has it.

    For what a builder has found in its training data or drawn at random: found again it may come out otherwise, and the
    trained params would be those of another model. Whole numbers are kept exactly below 2^24.
    """
    return jnp.asarray(jax.lax.stop_gradient(numpyro.param(name, jnp.asarray(value, float))), value.dtype)


def perceptron(num_inputs: int, num_outputs: int, *, width: int, depth: int, key: PRNGKey) -> MLP:
    """A multilayer perceptron of `depth` hidden layers of smooth units, whose outputs vary as much as its inputs.

    Equinox's smaller weights make codes so much alike at first that the prior puts out most of their coordinates; these
    are those of He et al. (2015).
    """
    network = MLP(num_inputs, num_outputs, width, depth, activation=jax.nn.silu, key=key)
    weights = [6**0.5 * layer.weight for layer in network.layers[:-1]]
    return eqx.tree_at(lambda mlp: [layer.weight for layer in mlp.layers[:-1]], network, weights)


def loc_and_scale(outputs: Array, start: float = 1.0) -> tuple[Array, Array]:
    """Those of a vector's independent normal laws, from twice as many numbers: zeros mean the scale `start`."""
    loc, raw = jnp.split(outputs, 2, axis=-1)
    return loc, positive_scale(raw, start)


def diagonal_normal(outputs: Array, start: float = 1.0) -> dist.Distribution:
    """Independent normal laws of a vector, as `loc_and_scale` reads them."""
    return dist.Normal(*loc_and_scale(outputs, start)).to_event(1)


def positive_scale(raw: Array, start: float = 1.0, least: float = 1e-4) -> Array:
    """A scale above `least` from any number, `start` from zero; it falls exponentially and rises linearly."""
    return least + jax.nn.softplus(raw + np.log(np.expm1(start)))


def repeats(train: Dataset) -> bool:
    """Whether most data occur more than once, so that to learn the data themselves is to learn their law."""
    values = some_data(train)
    return 2 * len(np.unique(values.reshape(len(values), -1), axis=0)) <= len(values)


def is_small(train: Dataset) -> bool:
    """Whether data have few coordinates or few values, so that small networks and large steps serve them."""
    return train.units.num_coordinates <= 8 or repeats(train)


def num_latents(train: Dataset) -> int:
    """The dimension of a latent vector: that of the data, at most 16; 2 where data repeat."""
    return min(train.units.num_coordinates, 2 if repeats(train) else 16)


def updates_for(train: Dataset, batch_size: int, most: int, passes: int = 150) -> int:
    """So many passes over data that do not repeat, at most: on few of them networks soon learn the data themselves."""
    return most if repeats(train) else min(most, passes * train.num_points // batch_size)


def num_data(x_0: Batch | None, num_points: int | None) -> int:
    """The length of the plate."""
    return num_points if x_0 is None else len(x_0)


def some_data(train: Dataset, most: int = 20_000) -> np.ndarray:
    """Training data as given, at most so many, from all over the array."""
    places = np.unique(np.linspace(0, train.num_points - 1, most).astype(int))
    return read(train.source, slice(None) if train.num_points <= most else places)
