"""`Redrawn`: training data that every batch changes at random: images that are flipped, bits that are drawn afresh."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from numpy.typing import ArrayLike

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Batch, PRNGKey
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.rows import Source
from dpm_ppl.data.units import Units


@dataclass(frozen=True, eq=False)
class Redrawn:
    """Data as `fit` takes them, whose batches are those of `data` after `change`, a function of a batch and a key."""

    data: Dataset
    change: Callable[[Array, PRNGKey], Array]

    @property
    def num_points(self) -> int:
        """N."""
        return self.data.num_points

    @property
    def source(self) -> Source:
        """The data as given, by which a training knows them again."""
        return self.data.source

    @property
    def resident(self) -> bool:
        """As of a `Dataset`."""
        return self.data.resident

    @property
    def values(self) -> np.ndarray:
        """All of the data before the change."""
        return self.data.values

    def rows(self, indices: ArrayLike) -> np.ndarray:
        """Those at `indices`, before the change."""
        return self.data.rows(indices)

    @cached_property
    def draw(self) -> Callable[[Batch | np.ndarray, PRNGKey], Array]:
        """A function of rows and a key: x_0."""
        return Partial(_changed, self.data.draw, Partial(self.change))


def flipped(data: Dataset) -> Redrawn:
    """Images `(image, height, width, ...)`, each of them mirrored left to right in half of the batches it is in.

    **Raises:** `InputError` for data whose coordinates have shifts or scales of their own, which would not be mirrored.
    """
    if np.ndim(data.units.shift) or np.ndim(data.units.scale):
        expected, remedy = "images with one shift and one scale", "make them with pooled_mean=True"
        raise InputError("data", expected=expected, got="one for each coordinate", remedy=remedy)
    return Redrawn(data, _flip)


def binarised(shades: Source, num_levels: int = 256) -> Redrawn:
    """Bits that every batch draws afresh from grey images, with the grey as the probability of a one.

    So are MNIST's bits in the literature on autoencoders ("dynamic binarisation", after Salakhutdinov and Murray 2008,
    who draw them once). `shades` are levels 0 ... num_levels - 1.
    """
    units = Units(shades.shape[1:], "continuous", np.zeros(()), np.asarray(num_levels - 1.0))
    return Redrawn(Dataset(shades, units, resident=True), _bits)


def _changed(draw: Callable, change: Callable, rows: Batch | np.ndarray, key: PRNGKey) -> Array:
    first, second = jax.random.split(key)
    return change(draw(rows, first), second)


def _flip(images: Array, key: PRNGKey) -> Array:
    is_flipped = jax.random.bernoulli(key, 0.5, (len(images), *(1,) * (images.ndim - 1)))
    return jnp.where(is_flipped, images[:, :, ::-1], images)


def _bits(shades: Array, key: PRNGKey) -> Array:
    return jax.random.bernoulli(key, shades).astype(jnp.int32)
