"""The Gaussian kernel by its formulas, and what the outputs of its readouts mean."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.kernels import GaussianKernel, drift, noise_prediction, perturbation, velocity
from dpm_ppl.schedules import Erasure
from dpm_ppl.schedules.steps import fixed_steps

BETAS = np.array([0.02, 0.1, 0.3, 0.2])
ALPHA_BAR = np.cumprod(1 - BETAS)

rng = np.random.default_rng(0)
X, X_0, LOCATION, SCALE = rng.normal(size=(4, 4))

pytestmark = pytest.mark.usefixtures("x64")


def assert_moments(law, mean, variance, at=slice(None)):
    np.testing.assert_allclose(law.mean[at], np.broadcast_to(mean, law.mean.shape)[at], rtol=1e-12)
    np.testing.assert_allclose(law.variance[at], np.broadcast_to(variance, law.mean.shape)[at], rtol=1e-12)


def reverse(readout, location=LOCATION, scale=SCALE):
    outputs = jnp.stack([jnp.asarray(location), jnp.asarray(scale)], axis=-1)
    return GaussianKernel(readout).reverse(outputs, jnp.asarray(X), fixed_steps(BETAS))


def bridge_moments(x_0):
    before, after = ALPHA_BAR[:-1], ALPHA_BAR[1:]
    mean = np.sqrt(before) * BETAS[1:] * x_0[1:] + np.sqrt(1 - BETAS[1:]) * (1 - before) * X[1:]
    return mean / (1 - after), BETAS[1:] * (1 - before) / (1 - after)


def test_forward_laws():
    kernel, steps = GaussianKernel(), fixed_steps(BETAS)
    assert_moments(kernel.transition(jnp.asarray(X), steps), np.sqrt(1 - BETAS) * X, BETAS)
    assert_moments(kernel.marginal(jnp.asarray(X_0), steps), np.sqrt(ALPHA_BAR) * X_0, 1 - ALPHA_BAR)
    assert_moments(kernel.stationary((3,)), np.zeros(3), np.ones(3))


def test_bridge():
    law = GaussianKernel().bridge(jnp.asarray(X), jnp.asarray(X_0), fixed_steps(BETAS))
    mean, variance = bridge_moments(X_0)
    np.testing.assert_allclose(law.mean[1:], mean, rtol=1e-12)
    np.testing.assert_allclose(law.variance[1:], variance, rtol=1e-12)
    precision = 1 / (1 - ALPHA_BAR[:-1]) + (1 - BETAS[1:]) / BETAS[1:]
    np.testing.assert_allclose(law.variance[1:], 1 / precision, rtol=1e-12)
    assert (law.variance[1:] > 0).all()
    assert (law.variance < BETAS).all()


def test_perturbation():
    """The variance is perturbed in log-odds, and the mean pulled towards the location by what the variance leaves."""
    variance = 1 / (1 + np.exp(-(SCALE + np.log(BETAS / (1 - BETAS)))))
    mean = (X - LOCATION) * np.sqrt(1 - variance) + LOCATION
    assert_moments(reverse(perturbation), mean, variance)


def test_drift():
    """The forward kernel's mean is moved by the location, in its own deviations; the variance is a sigmoid."""
    mean = np.sqrt(1 - BETAS) * X + np.sqrt(BETAS) * LOCATION
    assert_moments(reverse(drift), mean, 1 / (1 + np.exp(-(SCALE + np.log(BETAS / (1 - BETAS))))))


def test_noise_prediction():
    """The mean is that of the bridge to the x_0 that the predicted noise implies."""
    signal, noise = np.sqrt(ALPHA_BAR), np.sqrt(1 - ALPHA_BAR)
    predicted = noise * X + signal * LOCATION
    implied = (X - noise * predicted) / signal
    mean, lowest = bridge_moments(implied)
    share = 1 / (1 + np.exp(-SCALE[1:]))
    variance = np.exp(np.log(BETAS[1:]) + (2 * share - 1) * np.log(BETAS[1:] / lowest))
    law = reverse(noise_prediction)
    np.testing.assert_allclose(law.mean[1:], mean, rtol=1e-12)
    np.testing.assert_allclose(law.variance[1:], variance, rtol=1e-12)


@pytest.mark.parametrize(("scale", "which"), [(0.0, "beta"), (-60.0, "bridge"), (60.0, "mirrored")])
def test_noise_prediction_between_the_entropy_bounds(scale, which):
    _, lowest = bridge_moments(X_0)
    variance = {"beta": BETAS[1:], "bridge": lowest, "mirrored": BETAS[1:] ** 2 / lowest}[which]
    np.testing.assert_allclose(reverse(noise_prediction, scale=np.full(4, scale)).variance[1:], variance, rtol=1e-12)


def test_noise_prediction_at_a_learned_edge():
    np.testing.assert_allclose(reverse(noise_prediction).variance[0], BETAS[0] * np.exp(SCALE[0]), rtol=1e-12)


def test_velocity():
    """The bridge averaged over what is known of the velocity, N(location, exp(scale))."""
    implied = np.sqrt(ALPHA_BAR) * X - np.sqrt(1 - ALPHA_BAR) * LOCATION
    mean, lowest = bridge_moments(implied)
    gain = 1 - lowest / BETAS[1:]
    law = reverse(velocity)
    np.testing.assert_allclose(law.mean[1:], mean, rtol=1e-12)
    np.testing.assert_allclose(law.variance[1:], lowest + BETAS[1:] * gain * np.exp(SCALE[1:]), rtol=1e-12)
    np.testing.assert_allclose(law.variance[0], BETAS[0] * np.exp(SCALE[0]), rtol=1e-12)


@pytest.mark.parametrize("readout", [perturbation, drift, noise_prediction, velocity])
def test_readouts_reach_the_best_linear_reverse_chain(readout):
    """Outputs solved for, they give back mean and variance of the optimum for N(0, 0.25) at every learned step."""
    steps = fixed_steps(BETAS)
    moments = np.concatenate([[0.25], ALPHA_BAR * 0.25 + 1 - ALPHA_BAR])
    slope = (np.sqrt(1 - BETAS) * moments[:-1] / moments[1:])[1:]
    variance = (BETAS * moments[:-1] / moments[1:])[1:]
    kernel, x, later = GaussianKernel(readout), jnp.asarray(X[1:]), steps[1:]

    def miss(outputs):
        law = kernel.reverse(outputs, x, later)
        return jnp.stack([law.mean - slope * x, jnp.log(law.variance / variance)], axis=-1)

    outputs = jnp.zeros((3, 2))
    for _ in range(60):  # Newton's method, coordinate by coordinate
        jacobian = jnp.einsum("iaib->iab", jax.jacobian(miss)(outputs))
        outputs = outputs - 0.5 * jnp.linalg.solve(jacobian, miss(outputs)[..., None])[..., 0]
    np.testing.assert_allclose(miss(outputs), 0, atol=1e-9)


def test_a_readout_of_ones_own():
    def shifted(location, scale, x_t, step):
        return location * jnp.exp(-0.5 * step.log_beta), scale

    law = eqx.filter_jit(lambda kernel: kernel.reverse(jnp.ones((4, 2)), jnp.asarray(X), Erasure(4).steps()).mean)
    betas = 1 / np.arange(4, 0, -1)
    np.testing.assert_allclose(law(GaussianKernel(shifted)), np.sqrt(1 - betas) * X + 1, rtol=1e-12)
