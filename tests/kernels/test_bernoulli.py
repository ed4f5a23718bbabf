"""The Bernoulli kernel by its rates, without log-odds, and what the outputs of its readouts mean."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import BernoulliLogits, BernoulliProbs
from numpyro.distributions.kl import kl_divergence

from dpm_ppl.kernels import BernoulliKernel, clean_rate, direct_rate
from dpm_ppl.schedules.steps import fixed_steps

BETAS = np.array([0.1, 0.3, 0.2, 0.6, 1.0])
ALPHA_BAR = np.cumprod(1 - BETAS)
BEFORE = np.concatenate([[1.0], ALPHA_BAR[:-1]])
X_T, X_0 = np.array([0, 1, 1, 0, 1]), np.array([1, 1, 0, 0, 0])
OUTPUTS = np.array([0.3, -1.2, 2.0, 0.7, -0.4])

pytestmark = pytest.mark.usefixtures("x64")
over_rates = pytest.mark.parametrize("pi", [0.5, 0.2, 0.9])


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def logit(rate):
    return np.log(rate / (1 - rate))


def bridge_rate(pi, x_t, x_0):
    """P(x_{t-1} = 1 | x_t, x_0) by Bayes' rule."""
    on = BEFORE * x_0 + (1 - BEFORE) * pi
    if_on, if_off = (bit * (1 - BETAS) + pi * BETAS for bit in (1, 0))
    if_on, if_off = (np.where(x_t == 1, rate, 1 - rate) for rate in (if_on, if_off))
    return if_on * on / (if_on * on + if_off * (1 - on))


@over_rates
def test_forward_laws(pi):
    kernel, steps = BernoulliKernel(pi), fixed_steps(BETAS)
    for law, rates in [
        (kernel.transition(jnp.asarray(X_0), steps), X_0 * (1 - BETAS) + pi * BETAS),
        (kernel.marginal(jnp.asarray(X_0), steps), ALPHA_BAR * X_0 + (1 - ALPHA_BAR) * pi),
        (kernel.stationary((5,)), np.full(5, pi)),
        (kernel.bridge(jnp.asarray(X_T), jnp.asarray(X_0), steps), bridge_rate(pi, X_T, X_0)),
    ]:
        np.testing.assert_allclose(law.probs, rates, rtol=1e-12, atol=1e-15)


@over_rates
def test_direct_rate_shifts_the_log_odds_of_the_forward_kernel(pi):
    kernel = BernoulliKernel(pi, direct_rate)
    law = kernel.reverse(jnp.asarray(OUTPUTS)[:, None], jnp.asarray(X_T), fixed_steps(BETAS))
    np.testing.assert_allclose(law.probs, sigmoid(logit(X_T * (1 - BETAS) + pi * BETAS) + OUTPUTS), rtol=1e-12)


@over_rates
def test_clean_rate_mixes_the_bridges_to_both_values_of_x_0(pi):
    kernel = BernoulliKernel(pi, clean_rate)
    law = kernel.reverse(jnp.asarray(OUTPUTS)[:, None], jnp.asarray(X_T), fixed_steps(BETAS))
    at_rest = pi * np.where(X_T == 1, ALPHA_BAR + (1 - ALPHA_BAR) * pi, 1 - ALPHA_BAR - (1 - ALPHA_BAR) * pi)
    at_rest /= np.where(X_T == 1, pi, 1 - pi)  # P(x_0 = 1 | x_t) under the stationary law
    on = sigmoid(logit(at_rest) + OUTPUTS)
    expected = on * bridge_rate(pi, X_T, np.ones(5)) + (1 - on) * bridge_rate(pi, X_T, np.zeros(5))
    np.testing.assert_allclose(law.probs, expected, rtol=1e-12)


def test_what_nan_says_is_nan():
    kernel = BernoulliKernel(0.2)
    assert np.isnan(kernel.transition(jnp.array([jnp.nan, 1.0, 0.0]), fixed_steps(BETAS)[1]).logits).tolist() == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("p_type", [BernoulliLogits, BernoulliProbs])
@pytest.mark.parametrize("q_type", [BernoulliLogits, BernoulliProbs])
def test_divergences_of_bits(p_type, q_type):
    p, q = np.array([0.3, 0.9, 0.5]), np.array([0.6, 0.2, 0.5])
    expected = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    laws = [
        kind(jnp.asarray(rate if kind is BernoulliProbs else logit(rate))) for kind, rate in ((p_type, p), (q_type, q))
    ]
    np.testing.assert_allclose(kl_divergence(*laws), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("bit", [0, 1])
def test_the_divergence_of_a_known_bit_is_its_surprise(bit):
    known = BernoulliLogits(jnp.array(np.inf if bit else -np.inf), validate_args=False)
    for rate in (0.2, 0.9):
        got = kl_divergence(known, BernoulliLogits(jnp.array(logit(rate))))
        np.testing.assert_allclose(got, -np.log(rate if bit else 1 - rate), rtol=1e-12)
