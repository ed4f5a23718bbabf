"""`UNet`: a compact residual U-Net, which sees the step through an embedding of time."""

from collections.abc import Sequence
from itertools import count
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key, check_sizes, one_of, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Datum, Float, PRNGKey
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.networks.image.blocks import Resolution
from dpm_ppl.networks.image.convolution import Convolution
from dpm_ppl.networks.image.resolution import as_image, image_sizes, padded, patches, unpatched
from dpm_ppl.networks.temporal import time_features
from dpm_ppl.schedules.steps import Step


class UNet(AbstractNetwork):
    """Residual blocks at ever coarser resolutions and back, with what each resolution had added on the way back.

    **Arguments:** `event_shape`, `(H, W)` or `(H, W, C)`; sizes that are no multiples of the coarsest pixel are padded.

    - `channels`, one number for each resolution, the finest first; each is half as fine as the one before.
    - `num_blocks` residual blocks at each resolution, on the way down and on the way up.
    - `patch`: squares of so many pixels are one from the first layer to the last (space to depth). With 2 a network
      costs a quarter.
    - `fourier_frequencies`, radians per unit of standardised data: it also reads sin(f x) and cos(f x) of every pixel,
      for structure much finer than the spread of the data.
    - `num_heads` of the attention between all pixels of the coarsest resolution, 0 for none.
    - `precision="bfloat16"` computes between the first layer and the last in bfloat16, for GPUs. Parameters, those two
      layers and the outputs keep the precision that JAX works in.
    - `rematerialise`: blocks are computed again for the gradient, which then needs less memory and more time.
    """

    embed_image: Convolution
    embed_time: eqx.nn.Linear
    body: Resolution
    readout: Convolution
    num_outputs: int = eqx.field(static=True)
    num_steps: int = eqx.field(static=True)
    patch: int = eqx.field(static=True)
    fourier_frequencies: tuple[float, ...] = eqx.field(static=True)
    num_time_frequencies: int = eqx.field(static=True)
    precision: str = eqx.field(static=True)
    multiple: int = eqx.field(static=True)

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_outputs: int,
        num_steps: int,
        *,
        channels: Sequence[int] = (32, 64),
        num_blocks: int = 2,
        patch: int = 1,
        fourier_frequencies: Sequence[float] = (),
        num_heads: int = 0,
        precision: Literal["float32", "bfloat16"] = "float32",
        rematerialise: bool = False,
        num_time_frequencies: int = 8,
        key: PRNGKey,
    ):
        *_, colours = image_sizes(event_shape)
        num_outputs, num_steps, num_blocks, patch, num_time_frequencies, _ = check_sizes(
            num_outputs=num_outputs,
            num_steps=num_steps,
            num_blocks=num_blocks,
            patch=patch,
            num_time_frequencies=num_time_frequencies,
            channels=min(channels, default=0),
        )
        num_heads = whole_number("num_heads", num_heads, least=0)
        if num_heads and channels[-1] % num_heads:
            raise InputError(
                "num_heads", expected="a divisor of the last of channels", got=num_heads, remedy=f"pass {channels[-1]}"
            )
        one_of("precision", precision, ("float32", "bfloat16"))
        image_key, time_key, readout_key, body_key = jax.random.split(check_key(key), 4)
        num_inputs = patch**2 * colours * (1 + 2 * len(fourier_frequencies))
        num_time_features = 4 * max(channels)
        self.embed_image = Convolution(num_inputs, channels[0], key=image_key)
        self.embed_time = eqx.nn.Linear(4 * num_time_frequencies + 2, num_time_features, key=time_key)
        self.body = Resolution(
            channels,
            num_blocks,
            num_heads,
            num_time_features,
            rematerialise=bool(rematerialise),
            keys=(jax.random.fold_in(body_key, place) for place in count()),
        )
        self.readout = Convolution(channels[0], patch**2 * colours * num_outputs, 1, zero=True, key=readout_key)
        self.num_outputs, self.num_steps, self.patch = num_outputs, num_steps, patch
        self.fourier_frequencies = tuple(float(frequency) for frequency in fourier_frequencies)
        self.num_time_frequencies = num_time_frequencies
        self.precision, self.multiple = precision, patch * 2 ** (len(channels) - 1)

    def __call__(self, x_t: Datum, step: Step) -> Float[jax.Array, "*event outputs"]:
        image = as_image(x_t)
        angles = [frequency * image for frequency in self.fourier_frequencies]
        seen = jnp.concatenate([image, *map(jnp.sin, angles), *map(jnp.cos, angles)], axis=-1)
        hidden = self.embed_image(patches(padded(seen, self.multiple), self.patch))
        time = jax.nn.silu(self.embed_time(time_features(step, self.num_steps, self.num_time_frequencies)))
        inside = self.body, hidden, time
        body, *inputs = _rounded(inside) if self.precision == "bfloat16" else inside
        hidden = body(*inputs).astype(hidden.dtype)
        outputs = unpatched(self.readout(jax.nn.silu(hidden)), self.patch)
        height, width, _ = image.shape
        return outputs[:height, :width].reshape(*x_t.shape, self.num_outputs)


def _rounded(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16) if eqx.is_inexact_array(leaf) else leaf, tree)
