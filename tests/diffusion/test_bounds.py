"""The bound and its terms, apart from the closed forms of test_check_values.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.bounds import bound, entropy_bounds
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.lattice import uniforms
from dpm_ppl.diffusion.terms import learned_edge
from dpm_ppl.evaluation.scores import score as held_out_score
from dpm_ppl.kernels import GaussianKernel, noise_prediction
from dpm_ppl.likelihood import log_likelihood, sandwich
from dpm_ppl.schedules import Erasure, Fixed
from tests.instances import DIFFUSIONS, draw_data, small
from tests.oracles import AtRest

KEY = jax.random.key(0)
over_diffusions = pytest.mark.parametrize("make", DIFFUSIONS.values(), ids=DIFFUSIONS)


@over_diffusions
def test_the_terms_make_the_bound(make):
    diffusion = make()
    x_0 = draw_data(diffusion, 5)
    result = bound(diffusion, x_0, KEY)
    assert result.step_divergences.shape == (5, diffusion.num_steps - 1)
    assert (result.step_divergences >= -1e-5).all()
    assert (result.end_point >= 0).all()
    np.testing.assert_allclose(
        result.K, result.edge - result.step_divergences.sum(axis=1) - result.end_point, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(result.L_null, diffusion.null().log_prob(x_0), rtol=1e-6)
    np.testing.assert_allclose(result.K_minus_L_null, result.K - result.L_null, rtol=1e-6)
    entropies = [(result.entropy_first, 0), (result.entropy_last, -1)]
    for entropy, at in entropies:
        np.testing.assert_allclose(entropy, diffusion.marginal(x_0, diffusion.steps[at]).entropy(), rtol=1e-5)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli"])
def test_what_the_uncorrected_form_leaves_out(name):
    """The two forms differ by what E log pi(x_t) does between t = 0, 1 and T, and pi itself."""
    diffusion = DIFFUSIONS[name]()
    x_0 = draw_data(diffusion, 200)
    result = bound(diffusion, x_0, KEY)

    def log_pi(step):
        marginal = diffusion.marginal(x_0, step)
        if name == "bernoulli":
            return (marginal.mean * np.log(0.2) + (1 - marginal.mean) * np.log(0.8)).sum(axis=-1)
        return -0.5 * (np.log(2 * np.pi) + marginal.mean**2 + marginal.variance).sum(axis=-1)

    correction = result.L_null - log_pi(diffusion.steps[0]) + log_pi(diffusion.steps[-1]) + result.entropy_stationary
    np.testing.assert_allclose(result.K, result.uncorrected + correction, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli, clean rate, learned edge"])
def test_chunks_do_not_change_the_bound(name):
    diffusion = DIFFUSIONS[name]()
    x_0 = draw_data(diffusion, 5)
    whole = bound(diffusion, x_0, KEY, steps_chunk=100, data_chunk=100)
    chunked = bound(diffusion, x_0, KEY, steps_chunk=3, data_chunk=2)
    np.testing.assert_allclose(chunked.K, whole.K, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(chunked.step_divergences, whole.step_divergences, rtol=1e-3, atol=1e-5)


def test_more_draws_bring_less_noise():
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = jnp.tile(draw_data(diffusion, 1), (300, 1))
    one, nine = (np.asarray(bound(diffusion, x_0, KEY, num_draws=num).K, np.float64) for num in (1, 9))
    assert one.std() / nine.std() > 3  # by at least the root of nine, as they share out the noise between them
    assert abs(one.mean() - nine.mean()) < 4 * np.hypot(one.std(), nine.std()) / np.sqrt(300)


@pytest.mark.parametrize("scale", [0.0, 0.1])
def test_the_learned_edge_of_real_numbers_is_estimated_without_the_noise_of_x_1(scale):
    diffusion = small(GaussianKernel(noise_prediction), Erasure(8, beta_1=0.01), edge="learned", scale=scale)
    x_0 = jnp.broadcast_to(draw_data(diffusion, 1), (4000, 2))
    got = np.asarray(learned_edge(diffusion, x_0, uniforms(KEY, x_0.shape)), np.float64)
    x_1 = diffusion.marginal(x_0, diffusion.steps[0]).sample(jax.random.key(1))
    plain = np.asarray(diffusion.edge_law(x_1).log_prob(x_0), np.float64)
    assert abs(got.mean() - plain.mean()) < 4 * np.hypot(got.std(), plain.std()) / np.sqrt(4000)
    assert got.std() < 0.5 * plain.std()


@pytest.mark.parametrize("readout_scale", [0.0, 0.5])
def test_hardly_any_noise_at_first_in_float32(readout_scale):
    """beta_1 = 1e-8: float32 gives what float64 gives from the same draws' law."""
    betas = np.concatenate([[1e-8], np.geomspace(1e-7, 0.5, 30)])

    def score(num):
        diffusion = small(GaussianKernel(noise_prediction), Fixed(betas), scale=readout_scale)
        x_0 = jnp.broadcast_to(jnp.array([0.4, -1.3]), (num, 2))
        K = np.asarray(bound(diffusion, x_0, KEY).K, np.float64)
        return K.mean(), K.std() / np.sqrt(num)

    single = score(2000)
    with jax.enable_x64(True):
        double = score(2000)
    assert np.isfinite(single).all()
    assert abs(single[0] - double[0]) < 4 * np.hypot(single[1], double[1]) + 1e-4


def test_data_are_scored_one_by_one():
    """The bound of a datum does not depend on the data around it but for the draws."""
    diffusion = Diffusion(GaussianKernel(), Erasure(5), AtRest(2), ())
    together = bound(diffusion, jnp.array([0.5, 2.0]), KEY)
    alone = bound(diffusion, jnp.array([2.0]), KEY)
    for term in ("edge", "end_point", "entropy_first", "L_null"):
        np.testing.assert_allclose(getattr(together, term)[1], getattr(alone, term)[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli"])
def test_entropy_bounds_enclose(name):
    diffusion = DIFFUSIONS[name]()
    x_0 = draw_data(diffusion, 500)
    whole, chunked = (entropy_bounds(diffusion, x_0, KEY, steps_chunk=size) for size in (100, 3))
    assert whole.lower.shape == (diffusion.num_steps,)
    assert (whole.lower[1:] <= whole.upper[1:] + 0.02).all()
    for of in ("lower", "upper", "uncorrected_upper"):
        np.testing.assert_allclose(getattr(whole, of), getattr(chunked, of), rtol=1e-4, atol=1e-4)


def test_scoring_again_compiles_nothing():
    diffusion = DIFFUSIONS["gaussian"]()
    x_0, others = draw_data(diffusion, 5), draw_data(diffusion, 5, seed=1)
    key = jax.random.key(1)
    for score in (bound, entropy_bounds):
        score(diffusion, x_0, KEY)
        with jax.no_tracing():
            score(diffusion, others, key)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda d: bound(d, np.zeros((3, 2)), KEY, num_draws=0), "num_draws: expected a positive integer, got 0"),
        (lambda d: bound(d, np.zeros((3, 2)), KEY, num_draws=None), "num_draws: .* got None"),
        (lambda d: bound(d, np.zeros((3, 2)), KEY, steps_chunk=0), "steps_chunk: .* got 0"),
        (lambda d: bound(d, np.zeros((3, 2)), KEY, data_chunk=-1), "data_chunk: .* got -1"),
        (lambda d: bound(d, np.zeros((0, 2)), KEY), "x_0: expected at least one datum, got none"),
        (lambda d: bound(d, np.zeros((3, 4)), KEY), "x_0: expected data of event shape"),
        (lambda d: bound(d, np.full((3, 2), np.nan), KEY), "x_0: expected finite values"),
        (lambda d: bound(np.zeros((3, 2)), d, KEY), "diffusion: expected a Diffusion, got ndarray"),
        (lambda d: log_likelihood(np.zeros((3, 2)), d, KEY, 8), "method: expected a Diffusion, a Program"),
        (lambda d: sandwich(np.zeros((3, 2)), KEY, 8, 8), "method: expected a Diffusion, a Program"),
        (lambda d: held_out_score(np.zeros((3, 2)), d, KEY), "method: expected a Diffusion, a Program"),
        (lambda d: held_out_score(d, np.zeros((3, 2)), KEY), "data: expected a Dataset, got ndarray"),
        (lambda d: entropy_bounds(d, np.full((3, 2), np.inf), KEY), "x_0: expected finite values"),
        (lambda d: entropy_bounds(d, np.zeros((3, 4)), KEY), "x_0: expected data of event shape"),
        (lambda d: entropy_bounds(d, np.zeros((3, 2)), KEY, steps_chunk=0), "steps_chunk"),
    ],
)
def test_bad_input(score, message, unchecked):
    with pytest.raises(InputError, match=message) as caught:
        score(DIFFUSIONS["gaussian"]())
    assert "\n" not in str(caught.value)
