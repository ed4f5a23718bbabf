"""Images of any size as `(height, width, channels)`, and their change to coarser and finer pixels and back."""

from typing import Any

import jax.numpy as jnp

from dpm_ppl._common.checks import event_sizes
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Float

Image = Float[Array, "height width channels"]
Resized = Float[Array, "new_height new_width new_channels"]


def image_sizes(event_shape: Any) -> tuple[int, int, int]:
    """Height, width and channels of data `(H, W)` or `(H, W, C)`.

    **Raises:** `InputError` for any other shape.
    """
    sizes = event_sizes(event_shape)
    if len(sizes) not in (2, 3):
        raise InputError(
            "event_shape", expected="that of images, (H, W) or (H, W, C)", got=sizes, remedy="or take a TimeMLP"
        )
    height, width, channels = sizes if len(sizes) == 3 else (*sizes, 1)
    return height, width, channels


def as_image(x_t: Array) -> Image:
    """One datum as floating numbers with an axis for the channels."""
    return x_t.reshape(*x_t.shape[:2], -1).astype(float)


def padded(image: Image, multiple: int) -> Resized:
    """Rows and columns repeated below and to the right, up to a multiple of so many; `[:H, :W]` undoes it."""
    below, right = (-size % multiple for size in image.shape[:2])
    return jnp.pad(image, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else image


def patches(image: Image, size: int) -> Resized:
    """Squares of `size` x `size` pixels as the channels of one pixel (space to depth)."""
    height, width, channels = image.shape
    squares = image.reshape(height // size, size, width // size, size, channels).swapaxes(1, 2)
    return squares.reshape(height // size, width // size, size * size * channels)


def unpatched(image: Image, size: int) -> Resized:
    """The inverse of `patches`."""
    height, width, channels = image.shape
    squares = image.reshape(height, width, size, size, channels // size**2).swapaxes(1, 2)
    return squares.reshape(height * size, width * size, channels // size**2)


def coarser(image: Image) -> Resized:
    """Means of squares of 2 x 2 pixels."""
    height, width, channels = image.shape
    return image.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))


def finer(image: Image) -> Resized:
    """Every pixel as a square of 2 x 2."""
    height, width, channels = image.shape
    squares = jnp.broadcast_to(image[:, None, :, None], (height, 2, width, 2, channels))
    return squares.reshape(2 * height, 2 * width, channels)
