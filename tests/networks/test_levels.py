import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.kernels.gaussian import GaussianKernel, noise_prediction
from dpm_ppl.networks import LevelNetwork, TimeMLP
from dpm_ppl.schedules.steps import fixed_steps

K, SHIFT, SCALE = 5, 2.1, 1.6
EDGES = (np.arange(K + 1) - SHIFT) / SCALE
T = 40
LOG_SNR = np.linspace(13.0, -9.0, T)
ALPHA_BAR = 1 / (1 + np.exp(-LOG_SNR))
STEPS = fixed_steps(1 - ALPHA_BAR / np.concatenate([[1.0], ALPHA_BAR[:-1]]))


def quadrature(y, spread):
    """Nodes x_0 and log-weights of N(x_0; y, spread^2) on each level, the rule laid where the mass is."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    nearest = np.clip(y, EDGES[:-1], EDGES[1:])
    low = np.maximum(EDGES[:-1], nearest - 10 * spread)[:, None]
    high = np.minimum(EDGES[1:], nearest + 10 * spread)[:, None]
    x_0 = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    return x_0, np.log(0.5 * (high - low) * weights) - 0.5 * np.square((x_0 - y) / spread)


@pytest.mark.parametrize("i", [0, 1, 8, 15, 20, 25, 30, T - 1])
def test_reverse_law_has_the_moments_of_the_exact_one(i):
    """With the true frequencies of the levels, mean and variance are those of q(x_{t-1} | x_t) itself."""
    frequencies = np.random.default_rng(0).dirichlet(np.ones(K), size=3)
    network = LevelNetwork(
        TimeMLP((3,), K, T, width=4, depth=1, key=jax.random.key(0)), jnp.log(frequencies), shift=SHIFT, scale=SCALE
    )
    step = STEPS[i]
    x_0 = jnp.array([[-1.2, 0.1, 1.7], [0.3, -0.9, 0.6]])
    x_t = jnp.exp(step.log_alpha_bar / 2) * x_0 + jnp.exp(step.log_noise / 2) * jnp.array([[0.3, -1.0, 2.0]])
    kernel = GaussianKernel(readout=noise_prediction)
    outputs = jax.jit(lambda x_t, step: jax.vmap(network, (0, None))(x_t, step))(x_t, step)
    law = kernel.reverse(outputs, x_t, step)

    abar, noise, beta = (float(np.exp(v)) for v in (step.log_alpha_bar, step.log_noise, step.log_beta))
    abar_prev, noise_prev = (float(np.exp(v)) for v in (step.log_alpha_bar_prev, step.log_noise_prev))
    for index, one_x_t in np.ndenumerate(np.asarray(x_t, float)):
        nodes, log_weights = quadrature(one_x_t / np.sqrt(abar), np.sqrt(noise / abar))
        log_weights = log_weights + np.log(frequencies[index[1]])[:, None]
        weights = np.exp(log_weights - np.logaddexp.reduce(log_weights.ravel()))
        mean_0 = (weights * nodes).sum()
        variance_0 = (weights * np.square(nodes - mean_0)).sum()
        pull = np.sqrt(abar_prev) * beta / noise
        mean = pull * mean_0 + np.sqrt(1 - beta) * noise_prev / noise * one_x_t
        variance = beta * noise_prev / noise + pull**2 * variance_0
        assert float(law.mean[index]) == pytest.approx(mean, abs=1e-2 * np.sqrt(variance))
        assert float(law.variance[index]) == pytest.approx(variance, rel=2e-2)


def test_outputs_are_finite_far_from_the_data_and_without_signal():
    network = LevelNetwork(
        TimeMLP((2,), K, T, width=4, depth=1, key=jax.random.key(0)), jnp.zeros((2, K)), shift=SHIFT, scale=SCALE
    )
    erasure = fixed_steps(1 / (T + 1 - np.arange(1, T + 1)))
    x_t = jnp.array([[0.0, 1.0], [-30.0, 300.0]])
    for steps in (STEPS, erasure):
        outputs = jax.jit(lambda steps: jax.vmap(jax.vmap(network, (0, None)), (None, 0))(x_t, steps))(steps)
        assert outputs.shape == (T, 2, 2, 2)
        assert np.isfinite(outputs).all()
