"""The two chains: laws of the path, programs of NumPyro, and draws of the model."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from numpyro.infer import Predictive, log_likelihood, psis_diagnostic
from numpyro.infer.util import log_density

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, forward_chain, reverse_chain
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.sampling import sample, sample_path
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, noise_prediction
from dpm_ppl.schedules import Erasure, LogSNR
from tests import reference
from tests.instances import DIFFUSIONS, draw_data, instance, small
from tests.oracles import AtRest, linear_diffusion

KEY = jax.random.key(0)
over_diffusions = pytest.mark.parametrize("make", DIFFUSIONS.values(), ids=DIFFUSIONS)


def assert_within(values, expected, num_se=4.5):
    values = np.asarray(values, np.float64)
    assert (np.abs(values.mean(axis=0) - expected) < num_se * values.std(axis=0) / np.sqrt(len(values))).all()


@pytest.mark.parametrize(
    ("make", "steps_chunk"),
    [
        instance(
            *(make, steps_chunk),
            quick=name in ("bernoulli", "gaussian, noise prediction, learned edge") or steps_chunk is None,
            name=f"{steps_chunk}-{name}",
        )
        for name, make in DIFFUSIONS.items()
        for steps_chunk in (None, 2)
    ],
)
def test_log_probs_are_sums_over_the_path_from_x_1_to_x_T(make, steps_chunk):
    diffusion = make()
    x_0 = draw_data(diffusion, 3)
    num_steps = diffusion.num_steps
    path = jnp.stack([draw_data(diffusion, 3, seed=t) for t in range(num_steps)], axis=1)  # anywhere

    @jax.jit
    def both(path):
        reverse, forward = ReverseChain(diffusion, steps_chunk=steps_chunk), ForwardChain(diffusion, x_0)
        return reverse.log_prob(path), forward.log_prob(path)

    @jax.jit
    def by_hand(path):
        x = [x_0, *jnp.moveaxis(path, 1, 0)]
        steps = range(1, num_steps + 1)
        forward = sum(diffusion.transition(x[t - 1], diffusion.steps[t - 1]).log_prob(x[t]) for t in steps)
        reverse = sum(diffusion.reverse(x[t], diffusion.steps[t - 1]).log_prob(x[t - 1]) for t in steps if t > 1)
        return diffusion.stationary().log_prob(x[-1]) + reverse, forward

    for got, expected in zip(both(path), by_hand(path), strict=True):
        assert got.shape == (3,)
        np.testing.assert_allclose(got, expected, rtol=1e-5)


@over_diffusions
def test_shapes_supports_and_dtypes(make):
    diffusion = make()
    x_0 = draw_data(diffusion, 3)
    event_shape = (diffusion.num_steps, *diffusion.event_shape)
    dtype = jax.eval_shape(diffusion.stationary().sample, KEY).dtype

    @jax.jit
    def draw(chain):
        path = chain.sample(KEY, (4,))
        return path, chain.log_prob(path), chain.support(path)

    for chain, batch_shape in ((ReverseChain(diffusion), ()), (ForwardChain(diffusion, x_0), (3,))):
        assert (chain.batch_shape, chain.event_shape) == (batch_shape, event_shape)
        path, log_prob, supported = draw(chain)
        assert (path.shape, path.dtype) == ((4, *batch_shape, *event_shape), dtype)
        assert log_prob.shape == (4, *batch_shape)
        assert supported.all()


def test_chains_cross_jit_and_vmap():
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 3)
    chain = jax.jit(lambda x_0: ForwardChain(diffusion, x_0))(x_0)
    path = chain.sample(KEY)
    np.testing.assert_allclose(chain.log_prob(path), ForwardChain(diffusion, x_0).log_prob(path), rtol=1e-6)
    one_by_one = jax.vmap(lambda x_0, path: ForwardChain(diffusion, x_0).log_prob(path))(x_0, path)
    np.testing.assert_allclose(one_by_one, chain.log_prob(path), rtol=1e-5)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli"])
def test_the_forward_chain_has_its_marginals(name):
    """Drawn step by step, every x_t has the law that the closed form gives it from x_0."""
    diffusion = DIFFUSIONS[name]()
    x_0 = draw_data(diffusion, 1)[0]
    path = jax.jit(lambda key: ForwardChain(diffusion, x_0).sample(key, (20_000,)))(KEY)
    repeated = jnp.broadcast_to(x_0, (diffusion.num_steps, *x_0.shape))
    assert_within(path, diffusion.marginal(repeated, diffusion.steps).mean)


NULL = {
    "gaussian": Diffusion(GaussianKernel(), Erasure(6), AtRest(2), (2,)),
    "gaussian, noise prediction": Diffusion(
        GaussianKernel(noise_prediction), LogSNR(6, first=9.0, last=-9.0), AtRest(2), (2,), "learned"
    ),
    "bernoulli": Diffusion(BernoulliKernel(0.2), Erasure(6), AtRest(1), (2,)),
}


@pytest.mark.parametrize("name", NULL)
def test_a_chain_that_has_learned_nothing_draws_from_the_stationary_law(name):
    diffusion = NULL[name]
    draws = sample(diffusion, KEY, 20_000)
    path = sample_path(diffusion, KEY, (20_000,))
    for x in (draws, *path):
        law = diffusion.stationary()
        assert_within(x, law.mean)
        assert_within((x - law.mean) ** 2, law.variance)
    products = (draws[:, 0] - draws[:, 0].mean()) * (draws[:, 1] - draws[:, 1].mean())
    assert_within(products, 0.0)


def test_paths_run_from_x_1_to_x_T_in_both_programs():
    """Data of variance 0.25 become noise of variance 1, and under the best reverse chain so do draws, backwards."""
    betas = reference.erasure(5)
    diffusion = linear_diffusion(Erasure(5), reference.optimal_reverse(betas, 0.25))
    x_0 = 0.5 * jax.random.normal(KEY, (20_000,))
    expected = reference.second_moments(betas, 0.25)[1:]
    forward = Predictive(partial(forward_chain, diffusion), num_samples=1)(KEY, x_0)["path"][0]
    backward = Predictive(partial(reverse_chain, diffusion), num_samples=1)(KEY, num_points=20_000)["path"][0]
    assert forward.shape == backward.shape == (20_000, 5)
    for path in (forward, backward, sample_path(diffusion, KEY, (20_000,)).T):
        assert_within(path**2, expected)


@over_diffusions
def test_programs_are_their_distributions(make):
    diffusion = make()
    x_0 = draw_data(diffusion, 3)
    model, guide = partial(reverse_chain, diffusion), partial(forward_chain, diffusion)
    path = jnp.stack([draw_data(diffusion, 3, seed=t) for t in range(diffusion.num_steps)], axis=1)

    @jax.jit
    def both(path):
        seeded = [handlers.seed(program, KEY) for program in (model, guide)]
        densities = [log_density(program, (x_0,), {}, {"path": path})[0] for program in seeded]
        edge = diffusion.edge_law(path[:, 0]).log_prob(x_0)
        expected = ReverseChain(diffusion).log_prob(path) + edge, ForwardChain(diffusion, x_0).log_prob(path)
        return densities, [of_each.sum() for of_each in expected]

    np.testing.assert_allclose(*both(path), rtol=1e-5)


def test_sites_plates_and_parameters():
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 3)
    guide = handlers.trace(handlers.seed(partial(forward_chain, diffusion), KEY)).get_trace(x_0)
    model = handlers.trace(handlers.replay(handlers.seed(partial(reverse_chain, diffusion), KEY), guide)).get_trace(x_0)
    assert list(model) == ["diffusion$params", "data", "path", "x_0"]
    assert list(guide) == ["diffusion$params", "data", "path"]
    np.testing.assert_array_equal(model["path"]["value"], guide["path"]["value"])
    assert model["x_0"]["is_observed"]
    assert eqx.tree_equal(diffusion.with_params(guide["diffusion$params"]["value"]), diffusion)


def test_trained_parameters_reach_the_programs():
    diffusion, trained = (small(GaussianKernel(), Erasure(4), scale=scale) for scale in (0.5, 1.0))
    params = {"diffusion$params": eqx.filter(trained, eqx.is_inexact_array)}
    x_0 = draw_data(diffusion, 3)
    programs = partial(reverse_chain, diffusion), partial(reverse_chain, trained)
    got, expected = (
        Predictive(program, num_samples=2, params=params)(KEY, num_points=3)["x_0"] for program in programs
    )
    np.testing.assert_array_equal(got, expected)
    draws = {"path": ForwardChain(trained, x_0).sample(KEY, (5,))}
    model = handlers.substitute(partial(reverse_chain, diffusion), data=params)
    likelihood = log_likelihood(model, draws, x_0)["x_0"]
    np.testing.assert_allclose(likelihood, trained.edge_law(draws["path"][:, :, 0]).log_prob(x_0), rtol=1e-5)


def test_predictive_draws_paths_and_data():
    diffusion = DIFFUSIONS["bernoulli"]()
    model = partial(reverse_chain, diffusion)
    draws = Predictive(model, num_samples=2)(KEY, num_points=3)
    assert draws["path"].shape == (2, 3, 8, 5)
    assert draws["x_0"].shape == (2, 3, 5)
    again = Predictive(model, {"path": draws["path"]})(KEY, num_points=3)
    assert again["x_0"].shape == (2, 3, 5)
    conditioned = handlers.condition(model, {"path": draws["path"][0]})
    site = handlers.trace(handlers.seed(conditioned, KEY)).get_trace(num_points=3)["path"]
    assert site["is_observed"]


def test_psis_diagnostic():
    """Of the joint weights of a chain close to the truth: to be trusted."""
    betas = reference.erasure(5)
    diffusion = linear_diffusion(Erasure(5), reference.optimal_reverse(betas, 0.25))
    model, guide = partial(reverse_chain, diffusion), partial(forward_chain, diffusion)
    k_hat = psis_diagnostic(KEY, {}, model, guide, jnp.array([0.4, -0.9]), num_particles=500)
    assert k_hat < 0.5


def test_plates_may_be_subsampled():
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 10)
    guide = handlers.trace(handlers.seed(partial(forward_chain, diffusion, subsample_size=4), KEY)).get_trace(x_0)
    model = handlers.seed(partial(reverse_chain, diffusion, subsample_size=4), jax.random.key(9))
    model = handlers.trace(handlers.replay(model, guide)).get_trace(x_0)
    assert model["path"]["value"].shape == (4, 8, 2)
    assert model["path"]["scale"] == guide["path"]["scale"] == 2.5
    np.testing.assert_array_equal(model["x_0"]["value"], x_0[model["data"]["value"]])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            lambda d: reverse_chain(d),
            "num_points: expected the number of data .* got None; give x_0 or num_points",
        ),
        (lambda d: forward_chain(d, jnp.zeros((3, 5))), r"x_0: expected event shape \(2,\) .* got shape \(3, 5\)"),
        (lambda d: ForwardChain(d, jnp.zeros(())), r"x_0: .* got shape \(\)"),
    ],
)
def test_bad_input(run, message, unchecked):
    diffusion = DIFFUSIONS["gaussian"]()
    with pytest.raises(InputError, match=message) as caught, handlers.seed(rng_seed=0):
        run(diffusion)
    assert "\n" not in str(caught.value)


def test_all_data_are_generated_whatever_the_size_of_a_subsample():
    diffusion = DIFFUSIONS["gaussian"]()
    for num_points in (3, 8):
        program = partial(reverse_chain, diffusion, subsample_size=5)
        assert Predictive(program, num_samples=2)(KEY, num_points=num_points)["x_0"].shape == (2, num_points, 2)


def test_drawing_again_compiles_nothing():
    diffusion = DIFFUSIONS["gaussian"]()
    key = jax.random.key(1)
    draws = sample(diffusion, KEY, 5)
    sample_path(diffusion, KEY, (5,))
    with jax.no_tracing():
        others = sample(diffusion, key, 5)
        sample_path(diffusion, key, (5,))
    assert not np.array_equal(draws, others)
