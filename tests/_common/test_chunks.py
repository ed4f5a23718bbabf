"""Data in chunks of few sizes: what fills a chunk up changes nothing, and others compile nothing anew."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from benchmarks.measurement import compiled_programs
from dpm_ppl._common.chunks import chunk_size
from dpm_ppl.evaluation.scores import score
from dpm_ppl.methods.base import log_weights
from dpm_ppl.methods.program import Program
from tests.instances import small

KEY = jax.random.key(0)
REAL = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
LEVELS = np.random.default_rng(0).integers(0, 4, size=(64, 2))


def gaussian():
    return small(dpm.GaussianKernel(dpm.noise_prediction), dpm.LogSNR(5, 8.0, -6.0))


def model(x_0=None, num_points=None):
    with numpyro.plate("data", num_points or len(x_0)):
        z = numpyro.sample("z", dist.Normal(0, 1))
        return numpyro.sample("x", dist.Normal(z[..., None], jnp.ones(2)).to_event(1), obs=x_0)


def guide(x_0):
    with numpyro.plate("data", len(x_0)):
        numpyro.sample("z", dist.Normal(x_0.mean(axis=1) / 2, 0.7))


PROGRAM = Program(model, guide, event_shape=(2,))


def levels(num: int, scale: float = 1.0) -> dpm.Dataset:
    whole = dpm.Dataset.from_levels(np.minimum(LEVELS * scale, 3).astype(int), 4)
    return dpm.Dataset.from_levels(np.minimum(LEVELS[:num] * scale, 3).astype(int), 4, reference=whole)


FOR_THE_FIRST: dict[str, Callable] = {
    "bound": lambda num: dpm.bound(gaussian(), REAL[:num], KEY, num_draws=2),
    "a chunk of data": lambda num: dpm.bound(gaussian(), REAL[:num], KEY, data_chunk=16),
    "sample": lambda num: dpm.sample(gaussian(), KEY, num),
    "log_weights": lambda num: log_weights(PROGRAM, REAL[:num], KEY),
    "score": lambda num: score(gaussian(), levels(num), KEY, num_draws=2).K_values,
    "score of a program": lambda num: score(PROGRAM, levels(num), KEY, num_draws=2).K_values,
    "log_likelihood": lambda num: dpm.log_likelihood(gaussian(), REAL[:num], KEY, 4).log_likelihood,
}


@pytest.mark.parametrize("of_first", FOR_THE_FIRST.values(), ids=FOR_THE_FIRST)
def test_what_a_datum_gets_depends_on_its_number_alone(of_first):
    """Bit for bit where both go through the same program, and no program is compiled for the second number."""
    whole = of_first(64)
    with compiled_programs() as programs:
        fewer = of_first(45)
    assert programs == []
    for part, expected in zip(jax.tree.leaves(fewer), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(part, expected[:45])
    for part, expected in zip(jax.tree.leaves(of_first(3)), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(part, expected[:3], rtol=1e-4, atol=1e-5)


def test_measuring_another_data_set_compiles_nothing():
    def measure(data):
        return dpm.measure(gaussian(), data, KEY, num_draws=1, num_particles=4, num_points=16)

    measure(levels(64))
    with compiled_programs() as programs:
        measure(levels(50, scale=2.0))
    assert programs == []


@pytest.mark.parametrize(("num", "most", "size"), [(1, 64, 1), (3, 64, 4), (64, 64, 64), (65, 64, 64), (9, None, 16)])
def test_sizes_are_few(num, most, size):
    assert chunk_size(num, most) == size


def test_bounds_can_be_transformed(x64):
    """By jit, vmap and grad, in the data as in the parameters: the gradient is that of finite differences."""
    diffusion, x_0 = gaussian(), jnp.asarray(REAL[:4], float)

    def K(x_0, diffusion=diffusion):
        return dpm.bound(diffusion, x_0, KEY).K

    np.testing.assert_allclose(jax.jit(K)(x_0), K(x_0), rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(lambda x: K(x[None])[0])(x_0), [K(x[None])[0] for x in x_0], rtol=1e-12)
    gradient, step = jax.jit(jax.grad(lambda x_0: K(x_0).sum()))(x_0), 1e-5 * jnp.ones((4, 2))
    differences = (K(x_0 + step) - K(x_0 - step)) / 2e-5
    np.testing.assert_allclose(gradient.sum(axis=1), differences, rtol=1e-6)

    def moved(shift):
        return K(x_0, eqx.tree_at(lambda d: d.network.readout.bias, diffusion, replace_fn=lambda b: b + shift)).sum()

    np.testing.assert_allclose(jax.grad(moved)(0.0), (moved(1e-5) - moved(-1e-5)) / 2e-5, rtol=1e-6)
    for act in (
        lambda x_0: K(x_0[:, :1]),
        lambda x_0: dpm.log_likelihood(diffusion, x_0, KEY, 4).log_likelihood,
        lambda x_0: dpm.log_likelihood(PROGRAM, x_0, KEY, 4).log_likelihood,
    ):
        with pytest.raises(dpm.InputError, match=r"^x_0: expected .*; .+"):
            jax.jit(act)(x_0)
