"""The law of data of each kind, given a network's outputs or a component's parameters; shared by the zoo's methods.

Bits have a Bernoulli law, real data a normal one with a scale of its own at each coordinate. Levels have the
categorical law of the level, spread evenly over its interval: a density of dequantised data that knows the intervals,
so that its figure in bits per dimension is the code length of the levels themselves.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from equinox.nn import MLP
from numpyro.distributions import constraints

from dpm_ppl._common.types import Array, Batch, Float, PRNGKey
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.units import Units, level_at
from dpm_ppl.models.methods._parts import NARROW, perceptron, positive_scale, some_data

FREQUENCIES = tuple(2.0 ** np.arange(0, 6))
ROUNDING = 1e-7
"""Of the range of all levels: by how much a value may miss the interval of its level in the density of levels."""

type Edges = Array | np.ndarray | float


class LevelLaw(dist.Distribution):
    """log p(z) = log softmax(logits)[level of z] - log width: a density that is constant on the interval of each level.

    **Arguments:** `logits` `(*batch, K)`; level k covers `lower + k width` to `lower + (k + 1) width`, where `lower`
    and `width` broadcast against the batch. The level of z is that of `Units.as_given` but for rounding; the density is
    0 outside.
    """

    arg_constraints = {
        "logits": constraints.real_vector,
        "lower": constraints.real,
        "width": constraints.positive,
    }
    support: Any = constraints.real  # wider than where the density is positive, as mixtures ask for a fixed one
    pytree_data_fields = ("logits", "lower", "width")

    def __init__(self, logits: Array, lower: Edges, width: Edges, *, validate_args: bool | None = None):
        self.logits = logits
        self.lower = jnp.asarray(lower, jnp.result_type(logits))
        self.width = jnp.asarray(width, jnp.result_type(logits))
        super().__init__(batch_shape=jnp.shape(logits)[:-1], event_shape=(), validate_args=validate_args)

    @property
    def num_levels(self) -> int:
        """K."""
        return self.logits.shape[-1]

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        level_key, noise_key = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        level = jax.random.categorical(level_key, self.logits, shape=shape)
        noise = jax.random.uniform(noise_key, shape, self.lower.dtype)
        return self.lower + self.width * (level + noise)

    def log_prob(self, value: Array) -> Array:
        place, slack = (value - self.lower) / self.width, ROUNDING * self.num_levels
        level = jnp.clip(level_at(place, self.num_levels, rounding=ROUNDING), 0, self.num_levels - 1).astype(int)
        # A product of matrices instead of a look-up: the components of a mixture get no copy of the logits per value.
        chosen = jax.nn.one_hot(level, self.num_levels, dtype=self.logits.dtype)
        log_share = jnp.einsum("...k,...k->...", chosen, jax.nn.log_softmax(self.logits))
        inside = (place >= -slack) & (place <= self.num_levels + slack)
        return jnp.where(inside, log_share - jnp.log(self.width), -jnp.inf)


def counts_of(values: np.ndarray, num_values: int) -> np.ndarray:
    """How many data have each of the values, `(*event_shape, num_values)`."""
    return np.stack([(values == value).sum(axis=0) for value in range(num_values)], axis=-1)


def shares(counts: np.ndarray) -> np.ndarray:
    """The share of each value, none of them zero."""
    return (counts + 0.05) / (counts + 0.05).sum(axis=-1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Observations:
    """How data of one kind are read, and what law the outputs say of them.

    `baseline`, `(*event_shape, num_outputs)`: the outputs that give each coordinate its law over all the training data,
    or a narrow normal one. Decoders begin there.
    """

    units: Units
    baseline: Float[np.ndarray, "*event outputs"]

    @classmethod
    def of(cls, train: Dataset) -> "Observations":
        """Those for data like `train`."""
        units, values = train.units, some_data(train)
        if units.is_real:
            return cls(units, np.zeros((*units.event_shape, 2)))
        log_share = np.log(shares(counts_of(values, units.num_levels or 2)))
        return cls(units, log_share if units.kind == "levels" else np.diff(log_share))

    @property
    def num_outputs(self) -> int:
        """Numbers per coordinate: the log-odds of a bit, location and scale, or the log-odds of each level."""
        return self.baseline.shape[-1]

    @property
    def size(self) -> int:
        """All the outputs for one datum."""
        return self.baseline.size

    def decoder(self, num_inputs: int, *, width: int, depth: int, key: PRNGKey) -> MLP:
        """A network from a code to all outputs, which adds to the baseline at first; its bias, and so trained."""
        network = perceptron(num_inputs, self.size, width=width, depth=depth, key=key)
        return eqx.tree_at(
            lambda mlp: mlp.layers[-1].bias,
            network,
            replace_fn=lambda bias: bias + jnp.asarray(self.baseline.ravel(), float),
        )

    def decoded(self, outputs: Float[Array, "*batch size"]) -> dist.Distribution:
        """The law of data, `(*batch, *event_shape)`, from all the outputs of a decoder."""
        return self.law(outputs.reshape(*outputs.shape[:-1], *self.baseline.shape))

    def law(self, outputs: Float[Array, "*data outputs"]) -> dist.Distribution:
        """The law of data, `(*batch, *event_shape)`, from their outputs."""
        units, num_axes = self.units, len(self.units.event_shape)
        if units.kind == "binary":
            law = dist.Bernoulli(logits=outputs[..., 0])
        elif units.is_real:
            law = dist.Normal(outputs[..., 0], positive_scale(outputs[..., 1], NARROW))
        else:
            law = LevelLaw(outputs, -units.shift / units.scale, 1 / units.scale)
        return law.to_event(num_axes)

    @property
    def num_features(self) -> int:
        """Numbers that `features` makes of one datum."""
        kinds = 1 + 2 * len(FREQUENCIES) if self.units.is_real else 1
        return self.units.num_coordinates * kinds

    def features(self, x_0: Batch) -> Float[Array, "datum features"]:
        """What an encoder reads: bits as -1 and 1, levels without their noise, real data with sines and cosines."""
        x = x_0.reshape(len(x_0), -1)
        if self.units.kind == "binary":
            return 2.0 * x - 1.0
        if self.units.num_levels is not None:
            width = np.broadcast_to(1 / self.units.scale, self.units.event_shape).ravel().astype(x.dtype)
            lower = np.broadcast_to(-self.units.shift / self.units.scale, self.units.event_shape).ravel()
            return lower.astype(x.dtype) + width * (0.5 + level_at((x - lower) / width, self.units.num_levels))
        angles = (x[..., None] * jnp.asarray(FREQUENCIES, x.dtype)).reshape(len(x), -1)
        return jnp.concatenate([x, jnp.sin(angles), jnp.cos(angles)], axis=-1)
