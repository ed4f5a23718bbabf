"""The categorical kernel by matrices, beside the Bernoulli kernel, and as masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import CategoricalLogits, CategoricalProbs
from numpyro.distributions.kl import kl_divergence
from scipy.linalg import expm

import dpm_ppl as dpm
from dpm_ppl.diffusion.paths import independent, log_weight_of_paths
from dpm_ppl.kernels import (
    BernoulliKernel,
    CategoricalKernel,
    absorbing,
    clean_levels,
    clean_rate,
    direct_levels,
    direct_rate,
    discretised_gaussian,
    resampled,
    uniform,
)
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.schedules.steps import fixed_steps
from tests.instances import draw_data, small

BETAS = np.array([0.1, 0.3, 0.2, 0.6, 1.0])
KEY = jax.random.key(0)
TWINS = [
    (CategoricalKernel(uniform(2), clean_levels), BernoulliKernel(0.5, clean_rate)),
    (CategoricalKernel(uniform(2), direct_levels), BernoulliKernel(0.5, direct_rate)),
]
over_twins = pytest.mark.parametrize(("levels", "bits"), TWINS, ids=["clean", "direct"])


class OfBits(AbstractNetwork):
    """Outputs for each of two levels that give the log-odds another network has."""

    network: AbstractNetwork

    def __call__(self, x_t, step):
        log_odds = self.network(x_t, step)[..., 0]
        return jnp.stack([0.3 - log_odds, jnp.full_like(log_odds, 0.3)], axis=-1)


@over_twins
def test_two_uniform_levels_are_bits(levels, bits, x64):
    steps = fixed_steps(BETAS)
    x, y = (jnp.asarray(np.random.default_rng(seed).integers(2, size=5)) for seed in (0, 1))
    log_odds = jnp.asarray(np.random.default_rng(2).normal(size=(5, 1)))
    outputs = jnp.concatenate([-log_odds, log_odds], axis=1) / 2
    for of_levels, of_bits in (
        (levels.stationary((5,)), bits.stationary((5,))),
        (levels.transition(x, steps), bits.transition(x, steps)),
        (levels.marginal(x, steps), bits.marginal(x, steps)),
        (levels.bridge(x, y, steps), bits.bridge(x, y, steps)),
        (levels.reverse(outputs, x, steps), bits.reverse(log_odds, x, steps)),
    ):
        for value in (0, 1):
            np.testing.assert_allclose(of_levels.log_prob(value), of_bits.log_prob(value), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(of_levels.mean, of_bits.mean, atol=1e-12)
    shares = jax.random.uniform(KEY, (5,))
    np.testing.assert_array_equal(levels.draw_bridge(x, steps, shares)[0], bits.draw_bridge(x, steps, shares)[0])


@over_twins
@pytest.mark.parametrize("edge", ["fixed", "learned"])
def test_two_uniform_levels_have_the_bound_of_bits(levels, bits, edge):
    of_bits = small(bits, dpm.Erasure(6), (3,), edge=edge)
    of_levels = dpm.Diffusion(levels, dpm.Erasure(6), OfBits(of_bits.network), (3,), edge)
    x_0 = draw_data(of_bits, 4)
    one, other = (dpm.bound(diffusion, x_0, KEY, num_draws=2) for diffusion in (of_levels, of_bits))
    for name in ("step_divergences", "end_point", "edge", "L_null", "K"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_walk_is_that_of_its_generator(x64):
    """exp of the rates up and down, in units in which the slowest mode decays at 1."""
    num = 6
    generator = np.diag(np.ones(num - 1), 1) + np.diag(np.ones(num - 1), -1)
    generator -= np.diag(generator.sum(axis=0))
    generator /= 2 - 2 * np.cos(np.pi / num)
    kernel, every, steps = CategoricalKernel(discretised_gaussian(num)), jnp.arange(num), fixed_steps(BETAS)
    for t in range(4):
        for law, left in ((kernel.transition, 1 - BETAS[t]), (kernel.marginal, np.prod(1 - BETAS[: t + 1]))):
            np.testing.assert_allclose(law(every, steps[t]).probs, expm(-np.log(left) * generator), rtol=1e-9)
    np.testing.assert_allclose(kernel.transition(every, steps[4]).probs, 1 / num)


def test_small_steps_of_the_walk_are_right_in_float32():
    """A step to the next level but one has a chance of the rate squared, far below what 1 is rounded to."""
    kernel, num = CategoricalKernel(discretised_gaussian(17)), 17
    rate = 1 / (2 - 2 * np.cos(np.pi / num))
    step = fixed_steps(np.array([1e-6, 0.5]))[0]
    log_probs = kernel.transition(jnp.asarray(8), step).log_prob(jnp.arange(8, 11))
    np.testing.assert_allclose(log_probs, [0, np.log(1e-6 * rate), 2 * np.log(1e-6 * rate) - np.log(2)], atol=1e-2)


def test_masks():
    """What is unmasked stays, and of the masked a share is unmasked that the schedule alone decides."""
    kernel, mask = CategoricalKernel(absorbing(3)), 3
    step, outputs = fixed_steps(BETAS)[2], jnp.asarray([0.5, -1.0, 2.0])
    law = kernel.reverse(outputs, jnp.asarray(mask), step)
    stays = float(step.noise * jnp.exp(step.log_noise_ratio) / step.noise)
    np.testing.assert_allclose(law.probs, [*(1 - stays) * np.asarray(jax.nn.softmax(outputs)), stays], rtol=1e-5)
    np.testing.assert_allclose(kernel.reverse(outputs, jnp.asarray(1), step).probs, [0, 1, 0, 0])
    np.testing.assert_allclose(kernel.stationary(()).probs, [0, 0, 0, 1])
    np.testing.assert_allclose(kernel.null(()).probs, [1 / 3, 1 / 3, 1 / 3, 0], rtol=1e-6)


@pytest.mark.parametrize("edge", ["fixed", "learned"])
def test_the_bound_of_masked_levels_is_a_weighted_cross_entropy(edge):
    """sum_t (alpha_bar_{t-1} - alpha_bar_t) / noise_t log p(x_0 | x_t) over masked coordinates (Shi et al. 2024)."""
    diffusion = small(CategoricalKernel(absorbing(4)), dpm.Erasure(5), (3,), edge=edge)
    x_0, num_draws = draw_data(diffusion, 2), 3
    result = dpm.bound(diffusion, x_0, KEY, num_draws=num_draws)
    steps = diffusion.steps
    uniforms = jax.random.uniform(KEY, (100, *x_0.shape))
    first = 0 if edge == "learned" else 1

    def masked(step, shares):
        x_t, _ = diffusion.draw_bridge(x_0, step, shares)
        outputs = jax.vmap(lambda x: diffusion.network(x, step))(x_t)
        log_p = jnp.take_along_axis(jax.nn.log_softmax(outputs), x_0[..., None], axis=-1)[..., 0]
        return jnp.exp(step.log_noise_gain) * jnp.where(x_t == 4, log_p, 0.0).sum(axis=-1)

    for t in range(first, 5):
        for shares in uniforms[:num_draws]:
            x_t, bridge = diffusion.draw_bridge(x_0, steps[t], shares)
            if t == 0:
                general = diffusion.edge_law(x_t).log_prob(x_0)
            else:
                general = -kl_divergence(bridge, diffusion.reverse(x_t, steps[t]))
            np.testing.assert_allclose(masked(steps[t], shares), general, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.end_point, 0, atol=1e-6)
    np.testing.assert_allclose(result.L_null, -3 * np.log(4), rtol=1e-6)
    if edge == "fixed":
        np.testing.assert_allclose(result.edge, -3 * np.log(4) / 5, rtol=1e-5)


@pytest.mark.parametrize(
    "moves", [uniform(17), absorbing(17), discretised_gaussian(17)], ids=["uniform", "absorbing", "gaussian"]
)
def test_what_has_learned_nothing_scores_uniform_levels(moves):
    """Every path has the same weight; the divergences of drawn steps do not, and have the right mean."""
    diffusion = small(CategoricalKernel(moves), dpm.Erasure(5), (4,), scale=0)
    x_0 = draw_data(diffusion, 300)
    log_weights = jax.jit(lambda x_0: log_weight_of_paths(diffusion, x_0, KEY, independent, None))(x_0)
    np.testing.assert_allclose(-log_weights / 4 / np.log(2), np.log2(17), rtol=1e-5)
    result = dpm.bound(diffusion, x_0, KEY)
    np.testing.assert_allclose(-result.L_null / 4 / np.log(2), np.log2(17), rtol=1e-6)
    learned = np.asarray(result.K_minus_L_null, np.float64)
    assert abs(learned.mean()) < 4 * learned.std() / np.sqrt(300) + 1e-4


@pytest.mark.parametrize("p_type", [CategoricalLogits, CategoricalProbs])
@pytest.mark.parametrize("q_type", [CategoricalLogits, CategoricalProbs])
def test_divergences_of_levels(p_type, q_type):
    p, q = np.array([[0.3, 0.7, 0.0], [0.2, 0.2, 0.6]]), np.array([[0.6, 0.2, 0.2], [0.2, 0.2, 0.6]])
    expected = [0.3 * np.log(0.3 / 0.6) + 0.7 * np.log(0.7 / 0.2), 0]
    laws = []
    for kind, probs in ((p_type, p), (q_type, q)):
        with np.errstate(divide="ignore"):
            argument = jnp.asarray(probs if kind is CategoricalProbs else np.log(probs))
        laws.append(kind(argument, validate_args=False))
    np.testing.assert_allclose(kl_divergence(*laws), expected, rtol=1e-5, atol=1e-6)


def test_divergences_of_impossible_levels_have_gradients():
    def divergence(outputs):
        p, q = (CategoricalLogits(outputs + jnp.array([0.0, 1.0, -jnp.inf]), validate_args=False) for _ in range(2))
        return kl_divergence(p, q)

    np.testing.assert_allclose(jax.grad(divergence)(jnp.zeros(3)), 0, atol=1e-6)


def test_what_nan_says_is_nan():
    for moves in (uniform(3), absorbing(3), discretised_gaussian(3)):
        law = CategoricalKernel(moves).transition(jnp.array([jnp.nan, 1.0]), fixed_steps(BETAS)[1])
        assert np.isnan(law.logits).all(axis=-1).tolist() == [True, False]
        assert np.isnan(law.log_prob(jnp.array([1.0, jnp.nan]))).all()


def test_bad_inputs(unchecked):
    for make, argument in (
        (lambda: uniform(1), "num_levels"),
        (lambda: absorbing(2.5), "num_levels"),
        (lambda: resampled((0.5, 0.6)), "pi"),
        (lambda: resampled((1.0, 0.0)), "pi"),
        (lambda: CategoricalKernel(17), "moves"),
        (lambda: small(CategoricalKernel(absorbing(3)), dpm.Cosine(5)), "schedule"),
        (lambda: CategoricalKernel(uniform(3)).check_data(np.array([0, 3])), "x_0"),
        (lambda: CategoricalKernel(absorbing(3)).check_data(np.array([0, 3])), "x_0"),
        (lambda: CategoricalKernel(uniform(3)).check_data(np.array([0.5])), "x_0"),
    ):
        with pytest.raises(dpm.InputError) as error:
            make()
        assert error.value.argument == argument
