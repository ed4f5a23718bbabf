"""`convolve` and the layer `Convolution`: fast under `vmap`, and on a CPU inside compiled loops too."""

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key, check_sizes
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Float, PRNGKey

Image = Float[Array, "height width channels"]
Filters = Float[Array, "rows columns channels outputs"]
Convolved = Float[Array, "height width outputs"]


def convolve(image: Image, filters: Filters) -> Convolved:
    """The image convolved with filters of odd sizes, beyond whose borders everything is zero; the size stays."""
    return _convolve_on_cpu(image, filters) if jax.default_backend() == "cpu" else _convolve(image, filters)


class Convolution(eqx.Module):
    """`convolve` and a bias for each channel; with `size=1` a linear map of each pixel's channels."""

    filters: Filters
    bias: Float[Array, " outputs"]

    def __init__(self, num_inputs: int, num_outputs: int, size: int = 3, *, zero: bool = False, key: PRNGKey):
        num_inputs, num_outputs, size = check_sizes(num_inputs=num_inputs, num_outputs=num_outputs, size=size)
        if size % 2 == 0:
            raise InputError("size", expected="an odd number of pixels", got=size, remedy=f"pass {size + 1}")
        most = 0.0 if zero else (size * size * num_inputs) ** -0.5
        self.filters = jax.random.uniform(
            check_key(key), (size, size, num_inputs, num_outputs), minval=-most, maxval=most
        )
        self.bias = jnp.zeros(num_outputs)

    def __call__(self, image: Image) -> Convolved:
        if self.filters.shape[:2] == (1, 1):
            return image @ self.filters[0, 0] + self.bias
        return convolve(image, self.filters) + self.bias


def _convolve(image: Array, filters: Array, order: str = "HWIO") -> Array:
    sides = [(size // 2, size // 2) for size in filters.shape[:2]]
    return jax.lax.conv_general_dilated(image[None], filters, (1, 1), sides, dimension_numbers=("NHWC", order, "NHWC"))[
        0
    ]


@jax.custom_jvp
def _convolve_on_cpu(image: Array, filters: Array) -> Array:
    return _convolve(image, filters)


@_convolve_on_cpu.defjvp
def _tangent(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """The derivative, written so that JAX transposes it into what XLA computes fast everywhere.

    In the body of a loop XLA's CPU compiler leaves a convolution to a generic nest of loops, up to a hundred times
    slower, unless its axes stand in one certain order. JAX's own gradients of a convolution have other orders. Here the
    gradient for the image is a convolution in that order, and the one for the filters is a matrix product for each
    of their places.
    """
    (image, filters), (image_change, filters_change) = primals, tangents
    (height, width, _), (rows, columns) = image.shape, filters.shape[:2]
    padded = jnp.pad(image, ((rows // 2,) * 2, (columns // 2,) * 2, (0, 0)))
    by_filters = sum(
        padded[i : i + height, j : j + width] @ filters_change[i, j] for i in range(rows) for j in range(columns)
    )
    by_image = _convolve(image_change, jnp.swapaxes(filters, 2, 3), "HWOI")
    return _convolve_on_cpu(image, filters), by_image + by_filters
