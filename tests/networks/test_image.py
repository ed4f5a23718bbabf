"""The networks for images: their parts, what they see, their gradients and sizes."""

import re
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion import Diffusion, bound
from dpm_ppl.kernels import GaussianKernel, noise_prediction
from dpm_ppl.networks import MultiScaleNetwork, UNet
from dpm_ppl.networks.image.convolution import Convolution, convolve
from dpm_ppl.networks.image.resolution import coarser, finer, padded, patches, unpatched
from dpm_ppl.schedules import Erasure

T = 4
STEPS = Erasure(T, beta_1=0.01).steps()
SHAPES = [(5, 7), (8, 8), (6, 4, 3)]
NETWORKS = {
    "multi-scale": partial(MultiScaleNetwork, num_layers=2, channels=3, num_scales=2, dense_widths=(4,), num_bumps=2),
    "released code": partial(
        MultiScaleNetwork,
        num_layers=1,
        channels=3,
        activation=partial(jax.nn.leaky_relu, negative_slope=0.05),
        mean_of_scales=True,
        scaled_features=True,
    ),
    "dense": partial(MultiScaleNetwork, num_layers=0, dense_widths=(4,), pixel_widths=()),
    "u-net": partial(UNet, channels=(3, 4), num_blocks=1, fourier_frequencies=(2.0,), num_time_frequencies=1),
    "one resolution": partial(UNet, channels=(3,), num_blocks=1, num_time_frequencies=1),
    "u-net, patches, attention": partial(UNet, channels=(4,), num_blocks=1, patch=2, num_heads=2),
}


def filled(name, event_shape=(5, 7), num_outputs=2, *, zero_readout=False, seed=0, **options):
    """A network with random parameters everywhere, or with a new one's readout."""
    form = eqx.filter_eval_shape(lambda: NETWORKS[name](event_shape, num_outputs, T, **options, key=jax.random.key(0)))
    rng = np.random.default_rng(seed)
    network = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / max(1, np.prod(leaf.shape[:-1])) ** 0.5, leaf.dtype),
        form,
    )
    return eqx.tree_at(lambda n: n.readout, network, replace_fn=_zeros) if zero_readout else network


def _zeros(tree):
    return jax.tree.map(jnp.zeros_like, tree)


def images(num, event_shape, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(num, *event_shape)), float)


@eqx.filter_jit
def outputs_of(network, x, steps):
    return jax.vmap(network)(x, steps)


@eqx.filter_jit
def gradient_of(network, x, steps):
    return eqx.filter_value_and_grad(lambda network: jnp.sin(outputs_of(network, x, steps)).sum())(network)


def test_patches_and_resolutions_are_undone():
    image = images(1, (8, 12, 3))[0]
    np.testing.assert_array_equal(unpatched(patches(image, 4), 4), image)
    np.testing.assert_array_equal(patches(image, 2)[1, 2].reshape(2, 2, 3), image[2:4, 4:6])
    np.testing.assert_allclose(coarser(finer(image)), image, rtol=1e-6)
    np.testing.assert_allclose(coarser(image)[1, 2], image[2:4, 4:6].mean(axis=(0, 1)), rtol=1e-5)
    wider = padded(image[:5, :7], 4)
    assert wider.shape == (8, 8, 3)
    np.testing.assert_array_equal(wider[:5, :7], image[:5, :7])


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (1, 5)])
def test_convolution_and_its_derivatives(rows, columns):
    x, changes = images(2, (5, 6, 2)), images(2, (5, 6, 2), 2)
    filters, filters_change = images(2, (rows, columns, 2, 3), 3)

    def directly(x, filters):
        planes = [[correlate(one[..., c], filters[..., c, d], "same") for c in range(2)] for one in x for d in range(3)]
        return np.sum(planes, axis=1).reshape(2, 3, 5, 6).transpose(0, 2, 3, 1)

    batch = jax.vmap(convolve, (0, None))
    found, change = jax.jvp(batch, (x, filters), (changes, filters_change))
    np.testing.assert_allclose(found, directly(*map(np.asarray, (x, filters))), atol=1e-5)
    both = directly(np.asarray(changes), np.asarray(filters)) + directly(np.asarray(x), np.asarray(filters_change))
    np.testing.assert_allclose(change, both, atol=1e-5)
    cotangent = images(2, (5, 6, 3), 4)
    gradients = jax.vjp(batch, x, filters)[1](cotangent)
    along = sum(jnp.vdot(*pair) for pair in zip(gradients, (changes, filters_change), strict=True))
    assert float(along) == pytest.approx(float(jnp.vdot(cotangent, change)), rel=1e-5)


def test_convolutions_in_a_loop_have_the_order_that_the_cpu_compiler_knows():
    """All others are a hundred times slower there."""

    def gradients(x, filters):
        gradient = jax.grad(lambda x, filters: jnp.sin(jax.vmap(convolve, (0, None))(x, filters)).sum(), (0, 1))
        return jax.lax.scan(lambda carry, one: (carry, gradient(one, filters)), 0, x)[1]

    text = jax.jit(gradients).lower(jnp.ones((2, 4, 6, 6, 2)), jnp.ones((3, 3, 2, 3))).compile().as_text()
    assert set(re.findall(r"dim_labels=(\S+?)[,\s]", text)) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("event_shape", SHAPES)
def test_outputs_for_every_pixel_of_any_size(name, event_shape):
    network = filled(name, event_shape, 3)
    outputs = eqx.filter_eval_shape(lambda: outputs_of(network, images(T, event_shape), STEPS))  # nothing is computed
    assert (outputs.shape, outputs.dtype) == ((T, *event_shape, 3), jnp.result_type(float))
    assert network.num_steps == T


def test_readout_of_a_new_unet_is_zero():
    network = UNet((2, 2), 1, T, channels=(2,), num_blocks=1, key=jax.random.key(0))
    assert not any(leaf.any() for leaf in jax.tree.leaves(network.readout))


@pytest.mark.parametrize(("name", "event_shape"), [("multi-scale", (5, 7)), ("one resolution", (6, 4, 3))])
def test_zero_outputs_give_L_null(name, event_shape):
    network = filled(name, event_shape, zero_readout=True)
    diffusion = Diffusion(GaussianKernel(noise_prediction), Erasure(T, beta_1=0.01), network, event_shape)
    gap = bound(diffusion, images(400, event_shape), jax.random.key(0)).K_minus_L_null
    error = float(gap.std()) / 20
    assert abs(float(gap.mean())) < 4 * error
    assert error < 0.01 * np.prod(event_shape)  # nats per coordinate


@pytest.mark.parametrize("name", ["multi-scale", "u-net, patches, attention"])
def test_batches_of_images_and_steps(name):
    network, x = filled(name), images(T, (5, 7))
    every = eqx.filter_jit(lambda n, x, steps: jax.vmap(jax.vmap(n, (0, None)), (None, 0))(x, steps))(network, x, STEPS)
    np.testing.assert_allclose(outputs_of(network, x, STEPS), every[jnp.arange(T), jnp.arange(T)], rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(every[0] - every[-1]).max()) > 1e-3  # the step is seen


@pytest.mark.parametrize("num_scales", [1, 2, 3])
def test_receptive_field_grows_with_the_scales(num_scales):
    network = filled("multi-scale", (24, 24), dense_widths=(), num_layers=1, num_scales=num_scales)
    seen = jax.jit(jax.grad(lambda x: network(x, STEPS[0])[12, 12].sum()))(images(1, (24, 24))[0])
    for axis in (0, 1):
        assert int((seen != 0).any(axis=axis).sum()) == 3 * 2 ** (num_scales - 1)


def test_convolutions_move_with_the_image():
    """By a coarsest pixel, and away from the borders."""
    network = filled("multi-scale", (24, 24), dense_widths=())
    image = images(1, (24, 24))[0]
    there, moved = outputs_of(network, jnp.stack([image, jnp.roll(image, 4, axis=1)]), STEPS[jnp.zeros(2, int)])
    np.testing.assert_allclose(moved[:, 12:16], there[:, 8:12], rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(moved[:, 4:8] - there[:, :4]).max()) > 1e-3


@pytest.mark.parametrize("name", ["multi-scale", "one resolution"])
def test_gradients_are_those_of_finite_differences(name, x64):
    network, direction = filled(name), filled(name, seed=2)
    x, steps = images(2, (5, 7)), STEPS[:2]
    h = 1e-4
    ahead, behind = (
        gradient_of(jax.tree.map(lambda leaf, along, far=far: leaf + far * along, network, direction), x, steps)[0]
        for far in (h, -h)
    )
    _, gradient = gradient_of(network, x, steps)
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    assert float((ahead - behind) / (2 * h)) == pytest.approx(float(sum(jnp.vdot(*pair) for pair in pairs)), rel=1e-5)


def test_rematerialisation_changes_no_gradient():
    x = images(T, (5, 7))
    loss, gradient = gradient_of(filled("one resolution"), x, STEPS)
    same_loss, same_gradient = gradient_of(filled("one resolution", rematerialise=True), x, STEPS)
    assert float(same_loss) == pytest.approx(float(loss), rel=1e-5)
    for leaf, same in zip(jax.tree.leaves(gradient), jax.tree.leaves(same_gradient), strict=True):
        np.testing.assert_allclose(same, leaf, rtol=1e-3, atol=1e-4)


def test_bfloat16_stays_inside():
    """What comes out, and the gradient for every parameter, is float32; only the digits of the outputs tell."""
    x = images(T, (5, 7))
    rounded = filled("one resolution", precision="bfloat16")
    outputs, exact = (outputs_of(network, x, STEPS) for network in (rounded, filled("one resolution")))
    assert outputs.dtype == jnp.float32
    assert 0 < float(jnp.abs(outputs - exact).max()) < 0.1 * float(jnp.abs(exact).max())
    gradient = eqx.filter_eval_shape(lambda: gradient_of(rounded, x, STEPS)[1])
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


def num_params(network):
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array)))


def test_parameter_counts():
    def convolution(inputs, outputs, size=3):
        return size**2 * inputs * outputs + outputs

    network = filled("multi-scale", (6, 4, 3), dense_features=2, pixel_widths=(5,))
    dense = convolution(72, 4, 1) + convolution(4, 24 * 2, 1)
    by_pixel = convolution(3 + 2, 5, 1) + convolution(5, 3 * 2 * 2, 1)
    assert num_params(network) == 2 * convolution(3, 3) + 2 * convolution(3, 3) + dense + by_pixel

    def block(width):
        return 2 * convolution(width, width) + convolution(16, 2 * width, 1)

    network = filled("u-net", (6, 4, 3))
    ends = convolution(9, 3) + convolution(6, 16, 1) + convolution(3, 3 * 2, 1)
    between = convolution(3, 4, 1) + convolution(4, 3, 1)
    assert num_params(network) == ends + 2 * block(3) + 2 * block(4) + between


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda **o: UNet((8,), 2, T, **o), r"event_shape: expected that of images, \(H, W\) or \(H, W, C\)"),
        (lambda **o: MultiScaleNetwork((2, 2, 2, 2), 2, T, **o), "event_shape"),
        (lambda **o: UNet((8, 8), 2, T, channels=(), **o), "channels"),
        (lambda **o: UNet((8, 8), 2, T, channels=(4, 6), num_heads=4, **o), "num_heads: expected a divisor"),
        (lambda **o: UNet((8, 8), 2, T, precision="float16", **o), "precision"),
        (lambda **o: UNet((8, 8), 2, T, patch=0, **o), "patch"),
        (lambda **o: MultiScaleNetwork((8, 8), 2, T, num_layers=0, **o), "num_layers"),
        (lambda **o: MultiScaleNetwork((8, 8), 2, T, filter_size=2, **o), "size: expected an odd number"),
        (lambda **o: Convolution(1, 0, **o), "num_outputs"),
    ],
)
def test_bad_options(make, message, unchecked):
    with pytest.raises(InputError, match=message):
        make(key=jax.random.key(0))
