"""`MultiScaleNetwork`: the paper's network for images. Its layers do not see the step; the readout does."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key, check_sizes, whole_number
from dpm_ppl._common.types import Array, Datum, Float, PRNGKey
from dpm_ppl.networks.base import AbstractNetwork, linear_layers
from dpm_ppl.networks.image.convolution import Convolution, Convolved, Image
from dpm_ppl.networks.image.resolution import as_image, coarser, finer, image_sizes, padded
from dpm_ppl.networks.temporal import BumpReadout
from dpm_ppl.schedules.steps import Step

Activation = Callable[[Array], Array]


class MultiScaleConvolution(eqx.Module):
    """Convolutions of an image at full, half, quarter ... resolution, brought back to full and summed (paper, D.2.1).

    As in the paper the activation follows the sum. With `mean_of_scales` it comes before, and the mean is taken, as in
    the released code. The height and width are multiples of 2^(number of scales - 1).
    """

    scales: list[Convolution]
    activation: Activation = eqx.field(static=True)
    mean_of_scales: bool = eqx.field(static=True)

    def __call__(self, image: Image) -> Convolved:
        images = [image]
        for _ in self.scales[1:]:
            images.append(coarser(images[-1]))
        each = self.activation if self.mean_of_scales else _unchanged
        total = each(self.scales[-1](images[-1]))
        for convolution, here in zip(self.scales[-2::-1], images[-2::-1], strict=True):
            total = finer(total) + each(convolution(here))
        return total / len(self.scales) if self.mean_of_scales else self.activation(total)


class ConvolutionPath(eqx.Module):
    """Multi-scale convolutions one after the other: what is near a pixel, nearer or farther."""

    layers: list[MultiScaleConvolution]

    def __call__(self, image: Image) -> Convolved:
        height, width, _ = image.shape
        hidden = padded(image, 2 ** (len(self.layers[0].scales) - 1))
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden[:height, :width]


class DensePath(eqx.Module):
    """Dense layers over the whole image, the last of which gives some features to each pixel."""

    layers: list[eqx.nn.Linear]
    activation: Activation = eqx.field(static=True)

    def __call__(self, image: Image) -> Convolved:
        hidden = jnp.ravel(image)
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
        return hidden.reshape(*image.shape[:2], -1)


class MultiScaleNetwork(AbstractNetwork):
    """Multi-scale convolutions, a dense path beside them, dense layers per pixel, a bump readout (paper, D.2.1).

    **Arguments:** `event_shape`, `(H, W)` or `(H, W, C)`.

    - `num_layers` multi-scale convolutions of `channels` each, at `num_scales` scales, with filters of `filter_size`.
    - `dense_widths`, tanh layers that see the whole image and give `dense_features` to each pixel: none by default.
      With `num_layers=0` there is only this path, as in the paper's MNIST run.
    - `pixel_widths`, tanh layers of each pixel by itself; then the readout with `num_bumps` bumps over time.

    `activation` follows convolutions, `dense_activation` all else. In the released code both are `leaky_relu` of slope
    0.05, and it goes by `mean_of_scales` (the activation comes before the scales are joined, by their mean) and
    `scaled_features` (the features of a path are divided by the root of their number). Its "full" convolutions, cropped
    on all sides, are those used here.
    """

    paths: list[ConvolutionPath | DensePath]
    pixel_layers: list[Convolution]
    readout: BumpReadout
    num_outputs: int = eqx.field(static=True)
    dense_activation: Activation = eqx.field(static=True)
    scaled_features: bool = eqx.field(static=True)

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_outputs: int,
        num_steps: int,
        *,
        num_layers: int = 4,
        channels: int = 20,
        num_scales: int = 3,
        filter_size: int = 3,
        dense_widths: Sequence[int] = (),
        dense_features: int = 2,
        pixel_widths: Sequence[int] = (20, 20),
        num_bumps: int = 10,
        activation: Activation = jax.nn.softplus,
        dense_activation: Activation = jnp.tanh,
        mean_of_scales: bool = False,
        scaled_features: bool = False,
        key: PRNGKey,
    ):
        height, width, colours = image_sizes(event_shape)
        num_outputs, channels, num_scales, dense_features, *_ = check_sizes(
            num_outputs=num_outputs,
            channels=channels,
            num_scales=num_scales,
            dense_features=dense_features,
            dense_widths=min(dense_widths, default=1),
            pixel_widths=min(pixel_widths, default=1),
        )
        num_layers = whole_number("num_layers", num_layers, least=not dense_widths)
        conv_key, dense_key, pixel_key, readout_key = jax.random.split(check_key(key), 4)

        def convolutions(num_inputs: int, key: PRNGKey) -> MultiScaleConvolution:
            keys = jax.random.split(key, num_scales)
            scales = [Convolution(num_inputs, channels, filter_size, key=key) for key in keys]
            return MultiScaleConvolution(scales, activation, mean_of_scales)

        self.paths, num_features = [], 0
        if num_layers:
            inputs = [colours] + [channels] * (num_layers - 1)
            keys = jax.random.split(conv_key, num_layers)
            self.paths.append(ConvolutionPath(list(map(convolutions, inputs, keys))))
            num_features += channels
        if dense_widths:
            sizes = [height * width * colours, *dense_widths, height * width * dense_features]
            layers = linear_layers(sizes, jax.random.split(dense_key, len(sizes) - 1))
            self.paths.append(DensePath(layers, dense_activation))
            num_features += dense_features
        widths = [num_features, *pixel_widths]
        keys = jax.random.split(pixel_key, len(pixel_widths))
        self.pixel_layers = [
            Convolution(inputs, units, 1, key=key)
            for inputs, units, key in zip(widths[:-1], pixel_widths, keys, strict=True)
        ]
        self.readout = BumpReadout(widths[-1], colours * num_outputs, num_steps, num_bumps=num_bumps, key=readout_key)
        self.num_outputs = num_outputs
        self.dense_activation = dense_activation
        self.scaled_features = scaled_features

    @property
    def num_steps(self) -> int:
        """The T it was made for."""
        return self.readout.num_steps

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        features = [path(as_image(x_t)) for path in self.paths]
        if self.scaled_features:
            features = [one / one.shape[-1] ** 0.5 for one in features]
        hidden = jnp.concatenate(features, axis=-1)
        for layer in self.pixel_layers:
            hidden = self.dense_activation(layer(hidden))
        by_pixel = jax.vmap(jax.vmap(self.readout, (0, None)), (0, None))
        return by_pixel(hidden, step).reshape(*x_t.shape, self.num_outputs)


def _unchanged(values: Array) -> Array:
    return values
