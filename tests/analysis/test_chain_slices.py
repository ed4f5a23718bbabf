import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.analysis.chain_slices import forward_slices, paper_times, reverse_drift, reverse_slices
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.sampling import sample, sample_path
from dpm_ppl.kernels import GaussianKernel, noise_prediction
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.schedules import Erasure, Fixed
from tests.instances import DIFFUSIONS, draw_data, small

KEY = jax.random.key(0)


class NullNetwork(AbstractNetwork):
    """Zero outputs: the reverse chain is the forward kernel."""

    def __call__(self, x_t, step):
        return jnp.zeros((*x_t.shape, 2))


def null(betas):
    return Diffusion(GaussianKernel(noise_prediction), Fixed(betas), NullNetwork(), (2,))


@pytest.mark.parametrize(("num_steps", "times"), [(2, [0, 1, 2]), (5, [0, 2, 5]), (1000, [0, 500, 1000])])
def test_times_of_the_paper(num_steps, times):
    assert paper_times(null(np.full(num_steps, 0.1))) == times


@pytest.mark.parametrize("name", ["gaussian, scalar data, learned schedule", "bernoulli"])
def test_slices_of_every_kind_of_data(name):
    diffusion = DIFFUSIONS[name]()
    x_0 = draw_data(diffusion, 7)
    times = (0, 3, diffusion.num_steps)
    forward, reverse = forward_slices(diffusion, x_0, KEY, times), reverse_slices(diffusion, KEY, 7, times)
    assert forward.shape == reverse.shape == (3, 7, *diffusion.event_shape)
    np.testing.assert_array_equal(forward[0], x_0)
    path = sample_path(diffusion, KEY, (7,))
    np.testing.assert_array_equal(reverse[1:], [path[2], path[-1]])
    np.testing.assert_allclose(reverse[0], sample(diffusion, KEY, 7), rtol=1e-5)


def test_forward_slices_have_the_marginal_and_reverse_slices_the_stationary_law():
    diffusion, num = null([0.3, 0.2, 0.4, 0.9]), 2000
    times = (0, 2, 4)
    forward = forward_slices(diffusion, jnp.full((num, 2), 3.0), KEY, times)
    np.testing.assert_array_equal(forward[0], 3.0)
    laws = [(forward[1], 0.7 * 0.8), (forward[2], 0.7 * 0.8 * 0.6 * 0.1)]
    laws += [(each, 0.0) for each in reverse_slices(diffusion, KEY, num, times)]
    for draws, alpha_bar in laws:
        mean, variance = 3 * np.sqrt(alpha_bar), 1 - alpha_bar
        np.testing.assert_allclose(draws.mean(axis=0), mean, atol=4 * np.sqrt(variance / num))
        np.testing.assert_allclose(draws.var(axis=0), variance, atol=4 * variance * np.sqrt(2 / num))
    assert abs(np.corrcoef(forward[1, :, 0], forward[2, :, 0])[0, 1]) < 4 / np.sqrt(num)


def test_drift_is_exact_where_float32_has_nothing_left_of_it():
    betas, points = np.array([1e-8, 2e-8, 0.1, 0.9]), np.random.default_rng(0).normal(size=(9, 2))
    drift = reverse_drift(null(betas), points, (1, 2, 4))
    for t, each in zip((1, 2, 4), drift, strict=True):
        np.testing.assert_allclose(each, np.expm1(0.5 * np.log1p(-betas[t - 1])) * points, rtol=1e-5)
    assert jnp.zeros(()).dtype == jnp.float32  # float64 does not leak


def test_drift_is_that_of_the_mean_of_the_reverse_law(x64):
    diffusion = small(GaussianKernel(), Erasure(6, beta_1=0.01))
    points = draw_data(diffusion, 5)
    draws = diffusion.reverse(points, diffusion.steps[3]).sample(KEY, (4000,))
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(abs(reverse_drift(diffusion, points, [4])[0] + points - draws.mean(axis=0)) < 4 * error)
