"""What NumPyro's guides promise: arguments of each call, minibatches, params of the model, precision, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro import handlers
from numpyro.infer import SVI, Predictive, Trace_ELBO
from numpyro.infer.autoguide import (
    AutoDAIS,
    AutoDelta,
    AutoGuideList,
    AutoIAFNormal,
    AutoLaplaceApproximation,
    AutoNormal,
)

from dpm_ppl import InputError
from dpm_ppl.guides import AutoDiffusion, PathDerivativeELBO
from tests.guides.targets import CHAINS, KEY, log_weight, regression, seen, shaken

DATA = np.linspace(-1.0, 2.0, 12, dtype=np.float32)
Y = np.asarray([0.5, 1.0, 4.0], np.float32)


def scaled(y=None, x=1.0):
    """With a param, a deterministic site, and data that may be left out."""
    noise = numpyro.param("noise", 0.8, constraint=dist.constraints.positive)
    z = numpyro.sample("z", dist.Gamma(2.0, 1.0).expand([3]).to_event(1))
    mean = numpyro.deterministic("mean", x * z)
    numpyro.sample("y", dist.Normal(mean, noise).to_event(1), obs=y)


def parts(y=DATA):
    """Looked at in parts of four."""
    z = numpyro.sample("z", dist.Normal(0, 1).expand([2]).to_event(1))
    with numpyro.plate("data", len(y), subsample_size=4):
        numpyro.sample("y", dist.Normal(z.sum(), 1.0), obs=numpyro.subsample(jnp.asarray(y), event_dim=0))


def small_guide(model, base=AutoNormal, num_steps=2, **options):
    return AutoDiffusion(model, base, num_steps, chains=CHAINS["bridge"], **options)


@pytest.fixture(scope="module")
def moved():
    """A guide that has seen its model at `Y`, and params of chains that have been moved."""
    guide = small_guide(scaled)
    return guide, shaken(guide, seen(guide, Y), 0.3)


def test_the_score_is_that_of_the_arguments_of_the_call(moved):
    guide, params = moved
    other, fresh = np.asarray([3.0, 0.1, 9.0], np.float32), small_guide(scaled)
    seen(fresh, other)
    weigh = eqx.filter_jit(lambda guide, y: log_weight(scaled, guide, params, KEY, y)[0])
    assert weigh(guide, other) == weigh(fresh, other)
    path = eqx.filter_jit(lambda y: guide.get_posterior(params, y).sample(KEY))
    assert not np.allclose(path(Y), path(other))
    draws = guide.sample_posterior(KEY, params, other, x=2.0, sample_shape=(4,))
    np.testing.assert_allclose(draws["mean"], 2 * draws["z"])


def test_params_of_the_model_are_read_as_they_are(moved):
    guide, params = moved
    path = jax.jit(lambda noise: guide.get_posterior({**params, "noise": noise}, Y).sample(KEY))
    np.testing.assert_array_equal(path(0.5), path(0.5))
    assert not np.allclose(path(0.5), path(2.0))


def test_draws_have_the_shapes_of_the_sites(moved):
    guide, params = moved
    draws = guide.sample_posterior(KEY, params, Y, sample_shape=(40, 100))
    assert {name: draw.shape for name, draw in draws.items()} == {"z": (40, 100, 3), "mean": (40, 100, 3)}
    one = guide.sample_posterior(KEY, params, Y)["z"]
    assert one.shape == (3,)
    np.testing.assert_array_equal(guide.sample_posterior(KEY, params)["z"], one)
    many = draws["z"].reshape(-1, 3)
    num = len(many)
    low, middle, high = guide.quantiles(params, [0.05, 0.5, 0.95], num_draws=num, rng_key=jax.random.key(1))["z"]
    # Of both sets of draws, the errors of shares of 0.9 and of one half.
    np.testing.assert_allclose(np.mean((many > low) & (many < high), axis=0), 0.9, atol=4 * np.sqrt(2 * 0.09 / num))
    np.testing.assert_allclose(np.mean(many < middle, axis=0), 0.5, atol=4 * np.sqrt(2 * 0.25 / num))
    np.testing.assert_array_equal(guide.median(params, num_draws=num, rng_key=jax.random.key(1))["z"], middle)


def test_predictive_draws_from_guide_and_model(moved):
    guide, params = moved
    drawn = jax.jit(Predictive(guide, params=params, num_samples=6))(KEY, Y)
    assert drawn["z"].shape == (6, 3)
    assert drawn[guide.path_site].shape == (6, 3, 3)
    predicted = jax.jit(Predictive(scaled, guide=guide, params=params, num_samples=6, return_sites=["y"]))(KEY, Y)
    assert predicted["y"].shape == (6, 3)
    with pytest.raises(InputError, match=r"args: .*site 'y'.*open.*posterior_samples"):
        jax.jit(Predictive(scaled, guide=guide, params=params, num_samples=6))(KEY)
    replicated = jax.jit(Predictive(scaled, {"z": drawn["z"]}, params=params))(KEY)["y"]
    assert not np.allclose(replicated, Y)


def test_minibatches_come_from_the_models_own_plate():
    guide = small_guide(parts)
    first = seen(guide, DATA)
    assert not guide.reads_score
    svi = SVI(parts, guide, optax.adam(0.01), PathDerivativeELBO(4))
    state, loss = jax.jit(lambda key: svi.update(svi.init(key, DATA), DATA))(KEY)
    assert np.isfinite(loss)
    assert not jax.tree.all(jax.tree.map(np.array_equal, svi.get_params(state), first))
    with pytest.raises(InputError, match=r"score: .*plate 'data'.*no bound"):
        seen(small_guide(parts, score=True))


def test_a_guide_without_score_does_not_run_its_model():
    runs = []

    def model():
        runs.append(1)
        numpyro.sample("z", dist.Normal(0, 1).expand([2]).to_event(1))

    guide = small_guide(model, score=False)
    params = seen(guide)
    runs.clear()
    jax.jit(lambda params: guide.get_posterior(params).sample(KEY))(params)
    assert runs == []


def test_a_prior_whose_draws_are_rounded_to_nothing_is_no_obstacle():
    def vague():
        tau = numpyro.sample("tau", dist.Gamma(0.01, 0.01))
        z = numpyro.sample("z", dist.Normal(0, 1 / jnp.sqrt(tau)))
        numpyro.sample("y", dist.Bernoulli(logits=z), obs=1)

    draws = jax.vmap(dist.Gamma(0.01, 0.01).sample)(jax.random.split(KEY, 20))
    assert np.any(draws == 0)
    for key in jax.random.split(KEY, 20):
        small_guide(vague).look_at(key)


@pytest.mark.slow
def test_guides_stand_side_by_side_in_a_list():
    def model():
        a = numpyro.sample("a", dist.Normal(0, 1))
        b = numpyro.sample("b", dist.Gamma(2.0, 1.0))
        numpyro.sample("y", dist.Normal(a, b), obs=0.5)

    guide = AutoGuideList(model)
    for name, prefix in (("a", "one"), ("b", "two")):
        part = handlers.block(handlers.seed(model, 0), expose=[name, "y"])
        guide.append(small_guide(part, prefix=prefix))
    params = seen(guide)
    assert {"one_chains$params", "two_chains$params"} <= set(params)

    @jax.jit
    def looked_at(params):
        loss, gradient = jax.value_and_grad(lambda params: PathDerivativeELBO().loss(KEY, params, model, guide))(params)
        weight, _, of_guide = log_weight(model, guide, params, jax.random.split(KEY)[1])
        return loss, gradient, weight, {name: site["value"] for name, site in of_guide.items()}

    loss, gradient, weight, sites = looked_at(params)
    np.testing.assert_allclose(weight, -loss, rtol=1e-5)
    for prefix in ("one", "two"):
        assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient[f"{prefix}_chains$params"].out))
    assert {"_one_path", "_two_path", "a", "b"} <= set(sites)
    assert set(guide.sample_posterior(KEY, params, sample_shape=(3,))) >= {"a", "b"}


def no_latents():
    numpyro.sample("y", dist.Normal(0, 1), obs=0.5)


def discrete():
    k = numpyro.sample("k", dist.Bernoulli(0.5))
    numpyro.sample("y", dist.Normal(k, 1), obs=0.5)


def local():
    with numpyro.plate("data", 12, subsample_size=4):
        z = numpyro.sample("z", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(z, 1), obs=numpyro.subsample(jnp.asarray(DATA), event_dim=0))


def one_number():
    numpyro.sample("z", dist.Normal(0, 1))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: seen(small_guide(no_latents)), "model: .*latent sites, got none"),
        (lambda: seen(small_guide(discrete)), "model: .*continuous.*'k' of a Bernoulli"),
        (lambda: seen(small_guide(local)), "model: .*'z' in plate 'data'"),
        (lambda: small_guide(regression, base=regression), "base: .*got function"),
        (lambda: small_guide(regression, base=AutoDelta), "base: .*AutoDelta"),
        (lambda: seen(small_guide(regression, base=AutoDAIS)), "base: .*AutoDAIS"),
        (lambda: small_guide(regression, num_steps=0), "num_steps: .*positive integer, got 0"),
        (lambda: small_guide(regression, num_steps=2.5), "num_steps: .*got 2.5"),
        (lambda: small_guide(None), "model: .*NumPyro model"),
        (lambda: seen(small_guide(one_number, AutoIAFNormal)), "base: .*latent dim = 1.*use AutoNormal"),
        (lambda: seen(small_guide(regression, AutoNormal(one_number))), "base: .*same model"),
        (lambda: seen(small_guide(regression, AutoLaplaceApproximation)), "base_params: .*fit_guide"),
        (lambda: small_guide(regression).sample_posterior(KEY, {}), "guide: .*seen its model"),
        (lambda: PathDerivativeELBO(0), "num_particles: .*positive"),
    ],
)
def test_refusals_name_the_argument(act, message):
    with pytest.raises(InputError, match=message):
        act()


def test_the_path_derivative_needs_a_path():
    guide = AutoNormal(regression)
    params = seen(guide)
    with pytest.raises(InputError, match=r"guide: .*AutoDiffusion.*Trace_ELBO"):
        jax.jit(lambda params: PathDerivativeELBO().loss(KEY, params, regression, guide))(params)
    assert np.isfinite(jax.jit(lambda params: Trace_ELBO().loss(KEY, params, regression, guide))(params))
