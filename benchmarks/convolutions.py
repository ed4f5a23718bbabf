"""The image networks' layer beside a plain `lax.conv_general_dilated` of a whole batch with the same shapes.

Forward it must cost the same. The gradient is taken where `fit` takes it, in the body of a compiled loop, and compared
with the plain gradient outside of one: in a loop XLA's CPU compiler would take up to a hundred times as long for that.
"""

import importlib
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measurement import Measurement, median_ratio, seconds
from dpm_ppl.networks.image.convolution import convolve

BATCH_SIZE, SIDE, CHANNELS, NUM_LAYERS = 128, 14, 32, 4
NUM_PAIRS = 40

Layer = Callable[[jax.Array, jax.Array], jax.Array]


def measure() -> list[Measurement]:
    keys = jax.random.split(jax.random.key(0))
    images = jax.random.normal(keys[0], (BATCH_SIZE, SIDE, SIDE, CHANNELS))
    filters = jax.random.normal(keys[1], (NUM_LAYERS, 3, 3, CHANNELS, CHANNELS)) / (9 * CHANNELS) ** 0.5
    ours, plain = _stack(jax.vmap(convolve, (0, None))), _stack(_plain)
    forward = _pairs(jax.jit(ours), jax.jit(plain), images, filters)
    gradient = _pairs(jax.jit(_in_loop(_gradient(ours))), jax.jit(_gradient(plain)), images, filters)
    return [
        median_ratio("convolutions forward, over plain lax.conv", *forward, 1.05),
        median_ratio("their gradient in a loop, over plain outside of one", *gradient, 2.0),
        *_beside_torch(jax.jit(ours), images, filters),
    ]


def _plain(images: jax.Array, filters: jax.Array) -> jax.Array:
    orders = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(images, filters, (1, 1), "SAME", dimension_numbers=orders)


def _stack(layer: Layer) -> Layer:
    def through(images: jax.Array, filters: jax.Array) -> jax.Array:
        for one in filters:
            images = layer(images, one)
        return images

    return through


def _gradient(through: Layer) -> Callable[..., Any]:
    return jax.grad(lambda images, filters: jnp.square(through(images, filters)).sum(), (0, 1))


def _in_loop(gradient: Callable[..., Any]) -> Callable[..., Any]:
    def once(images: jax.Array, filters: jax.Array) -> Any:
        return jax.lax.scan(lambda carry, one: (carry, gradient(one, filters)), 0, images[None])[1]

    return once


def _pairs(one: Callable[..., Any], other: Callable[..., Any], *arguments: Any) -> tuple[list[float], list[float]]:
    taken = [[seconds(lambda run=run: run(*arguments)) for run in (one, other)] for _ in range(1 + NUM_PAIRS)]
    above, below = zip(*taken[1:], strict=True)  # the first compiles
    return list(above), list(below)


def _beside_torch(ours: Callable[..., Any], images: jax.Array, filters: jax.Array) -> list[Measurement]:
    """The same layers in PyTorch, reported where it is installed; no target."""
    if importlib.util.find_spec("torch") is None:
        return []
    torch = importlib.import_module("torch")
    batch = torch.from_numpy(np.moveaxis(np.asarray(images), 3, 1).copy())
    layers = [torch.from_numpy(np.transpose(np.asarray(one), (3, 2, 0, 1)).copy()) for one in filters]

    def theirs(*_: Any) -> Any:
        result = batch
        for layer in layers:
            result = torch.nn.functional.conv2d(result, layer, padding=1)
        return result.numpy()

    return [median_ratio("convolutions forward, over PyTorch", *_pairs(ours, theirs, images, filters), math.inf)]
