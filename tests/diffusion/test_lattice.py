"""Uniform numbers that share out the unit cube, and draws of any kernel from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal, Poisson

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion import lattice
from dpm_ppl.diffusion.bounds import bound, scored
from dpm_ppl.diffusion.lattice import Lattice, uniforms
from dpm_ppl.kernels._quantiles import quantile
from dpm_ppl.likelihood.proposals.trajectories import independent, log_weight_of_paths
from dpm_ppl.schedules import Erasure, LogSNR
from tests.comparisons import assert_same_mean, assert_within
from tests.instances import DIFFUSIONS, FAMILIES, draw_data, small

KEY = jax.random.key(0)
over_diffusions = pytest.mark.parametrize("make", DIFFUSIONS.values(), ids=DIFFUSIONS)


def points(shape, event_dim, num, key=KEY):
    """The first `num` of a lattice, `(num, *shape)`."""
    return np.asarray(jax.vmap(Lattice(key, shape, event_dim))(jnp.arange(num)), np.float64)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_ends_are_never_reached(precision):
    """The largest 32 bits and the smallest are as far from 1 as from 0, with room for an infinite quantile."""
    with jax.enable_x64(precision == "float64"):
        low, high = lattice._in_unit_interval(jnp.asarray([0, 2**32 - 1], jnp.uint32))
        assert low.dtype == precision
        assert 0 < low == 1 - high
        assert np.isfinite(Normal().icdf(jnp.stack([low, high]))).all()


def test_every_point_is_uniform_whatever_its_number():
    for index in (0, 7, 10_000_000):
        got = np.asarray(Lattice(KEY, (20_000, 3), 1)(jnp.asarray(index)), np.float64)
        for power in (1, 2, 3):
            assert_within(got[:, 2] ** power, 1 / (power + 1))
        assert_within(got[:, 0] * got[:, 1], 1 / 4)


@pytest.mark.parametrize(("num_coordinates", "gain"), [(1, 5), (2, 5), (5, 2)])
def test_points_in_a_row_are_even(num_coordinates, gain):
    """The mean of a smooth function over 200 of them errs less than over independent ones, most in few dimensions."""
    u = points((500, num_coordinates), 1, 200)
    independent = np.asarray(uniforms(KEY, u.shape), np.float64)
    errors = [np.exp(values.sum(axis=-1)).mean(axis=0) - (np.e - 1) ** num_coordinates for values in (u, independent)]
    even, at_random = (np.sqrt(np.square(error).mean()) for error in errors)
    assert even < at_random / gain


def test_rows_of_the_lattice_go_at_the_roots_of_the_primes():
    pace = lattice._root_fractions(3072) / 2.0**32
    np.testing.assert_allclose(pace[:5], np.sqrt([2, 3, 5, 7, 11]) % 1, atol=1e-9)
    assert pace[-1] == pytest.approx(np.sqrt(28_181) % 1, abs=1e-9)  # the 3072nd prime
    assert len(np.unique(pace)) == 3072


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_quantiles_are_draws_of_the_law(family):
    x_0 = jnp.broadcast_to(jnp.asarray(family.points), (20_000, len(family.points)))
    step = Erasure(5).steps()[2]
    law = family.kernel.marginal(x_0, step)
    for uniform in (uniforms(KEY, x_0.shape), Lattice(KEY, x_0.shape, 1)(jnp.asarray(3))):
        x_t, bridge = family.kernel.draw_bridge(x_0, step, uniform)
        np.testing.assert_allclose(x_t, quantile(law, uniform), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(bridge.mean, family.kernel.bridge(x_t, x_0, step).mean, rtol=1e-4, atol=1e-5)
        for draws, mean, variance in zip(np.asarray(x_t, np.float64).T, law.mean[0], law.variance[0], strict=True):
            assert_within(draws, mean)
            assert_within(np.square(draws - mean), variance)


def test_a_law_without_quantiles_is_refused(unchecked):
    with pytest.raises(InputError, match=r"kernel: .* `icdf` or `enumerate_support`.* Poisson; write a `draw_bridge`"):
        quantile(Poisson(jnp.ones(3)), jnp.full(3, 0.5))


@over_diffusions
@pytest.mark.parametrize("num_draws", [1, 3])
def test_the_bound_is_the_mean_log_weight_of_paths(make, num_draws):
    """Two roads to K that share no draw."""
    diffusion = make()
    x_0 = jnp.repeat(draw_data(diffusion, 1), 3000, axis=0)
    K = np.asarray(bound(diffusion, x_0, KEY, num_draws=num_draws).K, np.float64)
    log_weights = jax.jit(lambda x_0: log_weight_of_paths(diffusion, x_0, jax.random.key(1), independent, None))(x_0)
    assert_same_mean(K, np.asarray(log_weights, np.float64))


def test_the_draws_of_a_bound_one_by_one():
    diffusion = DIFFUSIONS["gaussian, noise prediction, learned edge"]()
    x_0 = draw_data(diffusion, 4)
    together = bound(diffusion, x_0, KEY, num_draws=3)
    apart = np.array([scored(diffusion, x_0, KEY, draw, 3) for draw in range(3)])
    for expected, got in zip((together.K, together.L_null), apart.mean(axis=0), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(apart[:, 0], axis=0).all()


@pytest.mark.parametrize(("num_draws", "gain"), [(1, 3), (4, 8)])
def test_what_sharing_out_the_noise_gains(num_draws, gain):
    """The deviation of K per datum over that which independent draws of every step would have."""
    diffusion = small(DIFFUSIONS["gaussian"]().kernel, LogSNR(200, 9.0, -6.0), scale=0.3)
    x_0 = jnp.repeat(draw_data(diffusion, 1), 400, axis=0)
    result = bound(diffusion, x_0, KEY, num_draws=num_draws)
    one_draw = bound(diffusion, x_0, jax.random.key(1)).step_divergences
    at_random = np.sqrt(np.asarray(one_draw, np.float64).var(axis=0).sum() / num_draws)
    assert np.asarray(result.K, np.float64).std() < at_random / gain
