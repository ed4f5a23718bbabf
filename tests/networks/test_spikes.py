import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.kernels.gaussian import GaussianKernel, noise_prediction
from dpm_ppl.networks import AbstractNetwork, SpikeSlabNetwork, frequent_levels, spike_slab_network
from dpm_ppl.schedules.steps import fixed_steps

SHIFT, SCALE, SPIKES = 5.3, 20.0, (0, 30)
LOW = (np.asarray(SPIKES) - SHIFT) / SCALE
MEAN, DEVIATION = 0.5, 0.4
SHARES = np.array([[0.7, 0.1, 0.2], [0.2, 0.2, 0.6], [0.05, 0.5, 0.45]])
T = 40
ALPHA_BAR = 1 / (1 + np.exp(-np.linspace(18.0, -9.0, T)))
STEPS = fixed_steps(1 - ALPHA_BAR / np.concatenate([[1.0], ALPHA_BAR[:-1]]))


class Nothing(AbstractNetwork):
    """Says nothing beyond what is known without it."""

    num_outputs: int

    def __call__(self, x_t, step):
        return jnp.zeros((*x_t.shape, self.num_outputs))


NETWORK = SpikeSlabNetwork(
    Nothing(5), jnp.log(SHARES), jnp.asarray(MEAN), jnp.log(DEVIATION), SPIKES, shift=SHIFT, scale=SCALE
)
outputs_of = jax.jit(lambda x_t, step: jax.vmap(NETWORK, (0, None))(x_t, step))


def exact_moments(y, spread, shares):
    """Mean and variance of x_0, by a rule laid where the mass of each level is, and in closed form for the rest."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    nearest = np.clip(y, LOW, LOW + 1 / SCALE)
    low = np.maximum(LOW, nearest - 10 * spread)[:, None]
    high = np.minimum(LOW + 1 / SCALE, nearest + 10 * spread)[:, None]
    x_0 = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    logs = np.log(0.5 * (high - low) * weights * SCALE * shares[:2, None]) - 0.5 * np.square((x_0 - y) / spread)
    logs -= 0.5 * np.log(2 * np.pi * spread**2)
    total = DEVIATION**2 + spread**2
    slab_log = np.log(shares[2]) - 0.5 * ((y - MEAN) ** 2 / total + np.log(2 * np.pi * total))
    slab_mean, slab_variance = y + spread**2 / total * (MEAN - y), DEVIATION**2 * spread**2 / total
    most = max(logs.max(), slab_log)
    weights, slab = np.exp(logs - most), np.exp(slab_log - most)
    norm = weights.sum() + slab
    mean = ((weights * x_0).sum() + slab * slab_mean) / norm
    spreads = (weights * np.square(x_0 - mean)).sum() + slab * (slab_variance + (slab_mean - mean) ** 2)
    return mean, spreads / norm


@pytest.mark.parametrize("i", [0, 4, 10, 14, 17, 20, 25, 30, T - 1])
def test_reverse_law_has_the_moments_of_the_exact_one(i):
    step = STEPS[i]
    x_0 = jnp.array([[LOW[0] + 0.01, 0.1, LOW[1] + 0.03], [0.3, -0.26, 1.28]])
    x_t = jnp.exp(step.log_alpha_bar / 2) * x_0 + jnp.exp(step.log_noise / 2) * jnp.array([[0.3, -1.0, 1.0]])
    law = GaussianKernel(noise_prediction).reverse(outputs_of(x_t, step), x_t, step)
    abar, noise, beta = (float(np.exp(v)) for v in (step.log_alpha_bar, step.log_noise, step.log_beta))
    abar_prev, noise_prev = (float(np.exp(v)) for v in (step.log_alpha_bar_prev, step.log_noise_prev))
    for index, one in np.ndenumerate(np.asarray(x_t, float)):
        mean_0, variance_0 = exact_moments(one / np.sqrt(abar), np.sqrt(noise / abar), SHARES[index[1]])
        pull = np.sqrt(abar_prev) * beta / noise
        mean = pull * mean_0 + np.sqrt(1 - beta) * noise_prev / noise * one
        # The edge, whose bridge is a point, has the variance of x_0 alone.
        variance = beta * noise_prev / noise + pull**2 * variance_0
        assert float(law.mean[index]) == pytest.approx(mean, abs=1e-2 * np.sqrt(variance))
        assert float(law.variance[index]) == pytest.approx(variance, rel=3e-2)


def test_gradients_are_finite_far_from_the_data_and_without_signal():
    erasure = fixed_steps(1 / (T + 1 - np.arange(1, T + 1)))
    x_t = jnp.array([[0.0, 1.0, LOW[0]], [-30.0, 300.0, LOW[1]]])

    def total(x_t, steps):
        return jnp.sin(jax.vmap(jax.vmap(NETWORK, (0, None)), (None, 0))(x_t, steps)).sum()

    gradient = jax.jit(jax.grad(total))
    for steps in (STEPS, erasure):
        assert np.isfinite(gradient(x_t, steps)).all()


def test_start_is_what_the_data_are_like():
    rng = np.random.default_rng(0)
    levels = np.where(rng.uniform(size=(4000, 2)) < [0.9, 0.3], 0, rng.integers(10, 20, size=(4000, 2)))
    assert frequent_levels(levels, 0.2) == (0,)
    network = spike_slab_network(Nothing(4), levels, (0,), shift=SHIFT, scale=SCALE)
    np.testing.assert_allclose(np.exp(network.log_prior)[:, 0], [0.9, 0.3], atol=0.03)
    assert float(network.mean) == pytest.approx((15.0 - SHIFT) / SCALE, abs=0.02)


def test_one_scale_for_all_coordinates(unchecked):
    with pytest.raises(InputError, match="scale: expected one shift and scale"):
        spike_slab_network(Nothing(4), np.zeros((5, 2)), (0,), shift=SHIFT, scale=np.ones(2))
