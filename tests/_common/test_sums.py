import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.sums import accurate_sum, map_chunks

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 1000, 4001])
def test_sums_lose_no_digits(length):
    """In float32, against the exactly rounded sum; large terms that cancel included."""
    terms = (1e4 + RNG.normal(size=length)).astype(np.float32)
    terms[::2] *= -1
    expected = math.fsum(terms.tolist())
    got = float(jax.jit(accurate_sum)(jnp.asarray(terms)))
    assert got == pytest.approx(expected, rel=3e-7, abs=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_any_axis(axis):
    terms = RNG.normal(size=(5, 6, 7)).astype(np.float32)
    np.testing.assert_allclose(accurate_sum(jnp.asarray(terms), axis=axis), terms.astype(float).sum(axis), rtol=1e-5)


def test_the_empty_sum_is_zero():
    np.testing.assert_array_equal(accurate_sum(jnp.zeros((0, 3))), np.zeros(3), strict=False)


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 3, 4])
def test_what_is_not_finite_stays_as_it_is(special, place):
    terms = np.ones(5, np.float32)
    terms[place] = special
    np.testing.assert_array_equal(accurate_sum(jnp.asarray(terms)), special)


def test_the_gradient_is_that_of_a_sum():
    terms, scale = jnp.asarray(RNG.normal(size=9)), jnp.arange(9.0)
    np.testing.assert_allclose(jax.grad(lambda x: accurate_sum(scale * x))(terms), scale)


@pytest.mark.parametrize("chunk_size", [None, 1, 3, 7, 100])
def test_chunks_do_not_change_the_map(chunk_size):
    x = {"a": jnp.asarray(RNG.normal(size=(7, 2)), float), "t": jnp.arange(7)}

    def function(x):
        return jnp.sin(x["a"]) * x["t"], x["t"]

    mapped, numbers = map_chunks(function, x, chunk_size)
    np.testing.assert_allclose(mapped, jnp.sin(x["a"]) * x["t"][:, None], rtol=1e-5)
    np.testing.assert_array_equal(numbers, np.arange(7))
    gradient = jax.grad(lambda a: map_chunks(function, x | {"a": a}, chunk_size)[0].sum())(x["a"])
    np.testing.assert_allclose(gradient, jnp.cos(x["a"]) * x["t"][:, None], rtol=1e-5, atol=1e-6)
