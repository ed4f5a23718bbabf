"""The parts of a U-Net: blocks that see the time, attention between all pixels, and one resolution within another."""

from collections.abc import Iterator, Sequence
from typing import Optional

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Array, Float, PRNGKey
from dpm_ppl.networks.image.convolution import Convolution, Image
from dpm_ppl.networks.image.resolution import coarser, finer


class ResidualBlock(eqx.Module):
    """h + conv(silu(conv(silu(normalised h)) (1 + a) + b)), where a and b come from the embedding of time.

    The second convolution starts at zero, so that a new block changes nothing.
    """

    inner: Convolution
    time: eqx.nn.Linear
    outer: Convolution

    def __init__(self, channels: int, num_time_features: int, *, key: PRNGKey):
        inner, time, outer = jax.random.split(key, 3)
        self.inner = Convolution(channels, channels, key=inner)
        self.time = eqx.nn.Linear(num_time_features, 2 * channels, key=time)
        self.outer = Convolution(channels, channels, zero=True, key=outer)

    def __call__(self, image: Image, time: Float[Array, " features"]) -> Image:
        scale, shift = jnp.split(self.time(time), 2)
        hidden = self.inner(jax.nn.silu(normalised(image))) * (1 + scale) + shift
        return image + self.outer(jax.nn.silu(hidden))


class Attention(eqx.Module):
    """Each pixel takes from all others what its heads look for, added to what it has; it starts at nothing."""

    looks: Convolution
    result: Convolution
    num_heads: int = eqx.field(static=True)

    def __init__(self, channels: int, num_heads: int, *, key: PRNGKey):
        looks, result = jax.random.split(key)
        self.looks = Convolution(channels, 3 * channels, 1, key=looks)
        self.result = Convolution(channels, channels, 1, zero=True, key=result)
        self.num_heads = num_heads

    def __call__(self, image: Image) -> Image:
        looks = self.looks(normalised(image)).reshape(-1, 3, self.num_heads, image.shape[-1] // self.num_heads)
        found = jax.nn.dot_product_attention(looks[:, 0], looks[:, 1], looks[:, 2])
        return image + self.result(found.reshape(image.shape))


class Resolution(eqx.Module):
    """Blocks, then all coarser resolutions, whose result is added, then blocks again; attention at the coarsest."""

    before: list[ResidualBlock]
    to_coarser: Convolution | None
    within: Optional["Resolution"]
    to_finer: Convolution | None
    attention: Attention | None
    after: list[ResidualBlock]
    rematerialise: bool = eqx.field(static=True)

    def __init__(
        self,
        channels: Sequence[int],
        num_blocks: int,
        num_heads: int,
        num_time_features: int,
        *,
        rematerialise: bool,
        keys: Iterator[PRNGKey],
    ):
        width, *others = channels

        def blocks() -> list[ResidualBlock]:
            return [ResidualBlock(width, num_time_features, key=next(keys)) for _ in range(num_blocks)]

        self.before, self.after = blocks(), blocks()
        self.to_coarser = Convolution(width, others[0], 1, key=next(keys)) if others else None
        self.to_finer = Convolution(others[0], width, 1, key=next(keys)) if others else None
        options = {"rematerialise": rematerialise, "keys": keys}
        self.within = Resolution(others, num_blocks, num_heads, num_time_features, **options) if others else None
        self.attention = Attention(width, num_heads, key=next(keys)) if num_heads and not others else None
        self.rematerialise = rematerialise

    def __call__(self, image: Image, time: Float[Array, " features"]) -> Image:
        image = self._through(self.before, image, time)
        if self.within is not None and self.to_coarser is not None and self.to_finer is not None:
            image = image + finer(self.to_finer(self.within(coarser(self.to_coarser(image)), time)))
        if self.attention is not None:
            image = self.attention(image)
        return self._through(self.after, image, time)

    def _through(self, blocks: list[ResidualBlock], image: Image, time: Float[Array, " features"]) -> Image:
        for block in blocks:
            image = (eqx.filter_checkpoint(block) if self.rematerialise else block)(image, time)
        return image


def normalised(image: Image) -> Image:
    """Each pixel's channels over the root of their mean square."""
    size = jnp.square(image.astype(float)).mean(axis=-1, keepdims=True)
    return image * jax.lax.rsqrt(size + 1e-5).astype(image.dtype)
