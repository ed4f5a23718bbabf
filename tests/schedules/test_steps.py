import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.schedules.steps import fixed_steps, traced_steps

BETAS = np.array([0.1, 0.3, 0.05, 0.6])


def test_all_that_is_known_of_a_step(x64):
    steps = fixed_steps(BETAS)
    alpha_bar = np.array([0.9, 0.9 * 0.7, 0.9 * 0.7 * 0.95, 0.9 * 0.7 * 0.95 * 0.4])
    assert steps.t.tolist() == [1, 2, 3, 4]
    for got, expected in [
        (steps.beta, BETAS),
        (steps.alpha, 1 - BETAS),
        (steps.alpha_bar, alpha_bar),
        (steps.noise, 1 - alpha_bar),
        (steps.log_snr, np.log(alpha_bar / (1 - alpha_bar))),
        (steps.logit_beta, np.log(BETAS / (1 - BETAS))),
        (jnp.exp(steps.log_alpha_bar_prev), [1, *alpha_bar[:-1]]),
        (jnp.exp(steps.log_noise_prev), [0, *(1 - alpha_bar[:-1])]),
        (jnp.exp(steps.log_noise_ratio), [0, *((1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]))]),
        (jnp.exp(steps.log_noise_gain), [1, *((alpha_bar[:-1] - alpha_bar[1:]) / (1 - alpha_bar[1:]))]),
    ]:
        np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_a_step_is_taken_from_all_by_its_number_less_one():
    steps = fixed_steps(BETAS)
    assert len(steps) == 4
    assert (int(steps[2].t), steps[2].beta.shape, float(steps[2].beta)) == (3, (), pytest.approx(0.05))
    assert steps[1:].t.tolist() == [2, 3, 4]
    assert steps[jnp.array([[0, 3]])].t.tolist() == [[1, 4]]


@pytest.mark.parametrize("beta_1", [1e-8, 1e-6, 1e-3])
def test_float32_keeps_the_digits_of_hardly_any_noise(beta_1):
    """1 - alpha_bar formed by subtraction would be rounding error here."""
    betas = np.full(100, beta_1)
    steps = fixed_steps(betas)
    assert steps.log_noise.dtype == jnp.float32
    exact = np.log(-np.expm1(np.arange(1, 101) * np.log1p(-betas)))
    np.testing.assert_allclose(steps.log_noise, exact, rtol=1e-6)
    traced = traced_steps(jnp.log1p(-jnp.asarray(betas)), jnp.log(jnp.asarray(betas)))
    np.testing.assert_allclose(traced.log_noise, exact, rtol=3e-6)
    signal = np.arange(1, 100) * np.log1p(-betas[0])
    for got in (steps, traced):
        np.testing.assert_allclose(got.log_noise_ratio[1:], exact[:-1] - exact[1:], rtol=1e-5)
        np.testing.assert_allclose(got.log_noise_gain[1:], signal + np.log(beta_1) - exact[1:], rtol=1e-5)
    assert traced.log_noise_prev[0] == -np.inf


def test_a_rate_of_one_leaves_no_signal():
    steps = fixed_steps(np.array([0.2, 1.0, 0.5]))
    assert steps.alpha_bar[1:].tolist() == [0, 0]
    assert steps.noise[1:].tolist() == [1, 1]
    assert steps.log_snr[1:].tolist() == [-np.inf, -np.inf]
    assert steps.logit_beta[1] == np.inf


def test_steps_that_are_learned_are_differentiable(x64):
    def total(logits):
        steps = traced_steps(jax.nn.log_sigmoid(-logits), jax.nn.log_sigmoid(logits))
        return steps.log_noise.sum() + steps.log_noise_prev[1:].sum() + steps.log_alpha_bar[-1]

    def by_hand(betas):
        alpha_bar = np.cumprod(1 - betas)
        return np.log(1 - alpha_bar).sum() + np.log(1 - alpha_bar[:-1]).sum() + np.log(alpha_bar[-1])

    logits = np.log(BETAS / (1 - BETAS))
    size = 1e-30
    expected = [by_hand(BETAS + 1j * size * d).imag / size for d in np.eye(4)] * BETAS * (1 - BETAS)
    np.testing.assert_allclose(jax.grad(total)(jnp.asarray(logits)), expected, rtol=1e-12)
