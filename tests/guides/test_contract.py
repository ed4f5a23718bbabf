"""What NumPyro's guides promise: arguments of each call, minibatches, params of the model, precision, refusals."""

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
from tests.guides.targets import CHAINS, KEY, OBSERVED, correlations, log_weight, regression, seen, shaken

DATA = jnp.linspace(-1.0, 2.0, 12)


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
        numpyro.sample("y", dist.Normal(z.sum(), 1.0), obs=numpyro.subsample(y, event_dim=0))


def small_guide(model, base=AutoNormal, num_steps=2, **options):
    return AutoDiffusion(model, base, num_steps, chains=CHAINS["bridge"], **options)


def test_the_score_is_that_of_the_arguments_of_the_call():
    guide, fresh = small_guide(scaled), small_guide(scaled)
    first, other = jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([3.0, 0.1, 9.0])
    params = shaken(guide, seen(guide, first), 0.3)
    seen(fresh, other)
    weights = [log_weight(scaled, one, params, KEY, other)[0] for one in (guide, fresh)]
    assert weights[0] == weights[1]
    paths = [guide.get_posterior(params, y).sample(KEY) for y in (first, other)]
    assert not np.allclose(*paths)
    draws = guide.sample_posterior(KEY, params, other, x=2.0, sample_shape=(4,))
    np.testing.assert_allclose(draws["mean"], 2 * draws["z"])


def test_params_of_the_model_are_read_as_they_are():
    guide = small_guide(scaled)
    params = shaken(guide, seen(guide, OBSERVED.repeat(2)[:3]), 0.3)
    y = jnp.ones(3)
    paths = [guide.get_posterior({**params, "noise": noise}, y).sample(KEY) for noise in (0.5, 0.5, 2.0)]
    np.testing.assert_array_equal(paths[0], paths[1])
    assert not np.allclose(paths[0], paths[2])


def test_draws_have_the_shapes_of_the_sites():
    y = jnp.asarray([0.5, 1.0, 4.0])
    guide = small_guide(scaled)
    params = shaken(guide, seen(guide, y), 0.1)
    draws = guide.sample_posterior(KEY, params, y, sample_shape=(5, 2))
    assert {name: draw.shape for name, draw in draws.items()} == {"z": (5, 2, 3), "mean": (5, 2, 3)}
    assert guide.sample_posterior(KEY, params, y)["z"].shape == (3,)
    np.testing.assert_array_equal(guide.sample_posterior(KEY, params)["z"], guide.sample_posterior(KEY, params, y)["z"])
    many = guide.sample_posterior(jax.random.key(1), params, y, sample_shape=(10_000,))["z"]
    low, middle, high = guide.quantiles(params, [0.05, 0.5, 0.95])["z"]
    np.testing.assert_array_equal(guide.median(params)["z"], middle)
    inside = np.mean((many > low) & (many < high), axis=0)
    np.testing.assert_allclose(inside, 0.9, atol=0.02)
    np.testing.assert_allclose(np.mean(many < middle, axis=0), 0.5, atol=0.03)


def test_predictive_draws_from_guide_and_model():
    y = jnp.asarray([0.5, 1.0, 4.0])
    guide = small_guide(scaled)
    params = seen(guide, y)
    drawn = Predictive(guide, params=params, num_samples=6)(KEY, y)
    assert drawn["z"].shape == (6, 3)
    assert drawn[guide.path_site].shape == (6, 3, 3)
    predicted = Predictive(scaled, guide=guide, params=params, num_samples=6, return_sites=["y"])(KEY, y)
    assert predicted["y"].shape == (6, 3)
    with pytest.raises(InputError, match=r"args: .*site 'y'.*open.*posterior_samples"):
        Predictive(scaled, guide=guide, params=params, num_samples=6)(KEY)
    draws = guide.sample_posterior(KEY, params, y, sample_shape=(6,))
    replicated = Predictive(scaled, {"z": draws["z"]}, params=params)(KEY)["y"]
    assert not np.allclose(replicated, y)


def test_minibatches_come_from_the_models_own_plate():
    guide = small_guide(parts)
    svi = SVI(parts, guide, optax.adam(0.01), PathDerivativeELBO(4))
    state = svi.init(KEY, DATA)
    assert not guide.reads_score
    state, loss = jax.jit(svi.update)(state, DATA)
    assert np.isfinite(loss)
    params = shaken(guide, svi.get_params(state), 0.1)
    weights = {float(log_weight(parts, guide, params, jax.random.key(seed))[0]) for seed in range(2)}
    assert len(weights) == 2
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
    guide.get_posterior(params).sample(KEY)
    assert runs == []


def test_guides_stand_side_by_side_in_a_list():
    def model():
        a = numpyro.sample("a", dist.Normal(0, 1))
        b = numpyro.sample("b", dist.Gamma(2.0, 1.0))
        numpyro.sample("y", dist.Normal(a, b), obs=0.5)

    guide = AutoGuideList(model)
    for name, prefix in (("a", "one"), ("b", "two")):
        part = handlers.block(handlers.seed(model, 0), expose=[name, "y"])
        guide.append(small_guide(part, prefix=prefix))
    svi = SVI(model, guide, optax.adam(0.01), PathDerivativeELBO(2))
    state = svi.init(KEY)
    state, loss = jax.jit(svi.update)(state)
    assert np.isfinite(loss)
    params = svi.get_params(state)
    assert {"one_chains$params", "two_chains$params"} <= set(params)
    weight, _, of_guide = log_weight(model, guide, params, KEY)
    assert {"_one_path", "_two_path", "a", "b"} <= set(of_guide)
    assert np.isfinite(weight)
    assert set(guide.sample_posterior(KEY, params, sample_shape=(3,))) >= {"a", "b"}


def test_draws_lie_in_their_supports():
    guide = small_guide(correlations)
    params = shaken(guide, seen(guide), 0.2)
    factor = guide.sample_posterior(KEY, params, sample_shape=(100,))["L"]
    assert np.all(dist.LKJCholesky(3, 2.0).support(factor))


def test_float64(x64):
    guide = small_guide(regression, AutoIAFNormal)
    params = shaken(guide, seen(guide), 0.1)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float64")}
    weight, _, of_guide = log_weight(regression, guide, params, KEY)
    assert weight.dtype == of_guide[guide.path_site]["value"].dtype == jnp.float64
    law = of_guide[guide.path_site]["fn"]
    again = law.log_prob(of_guide[guide.path_site]["value"])
    np.testing.assert_allclose(again, of_guide[guide.path_site]["log_prob"], rtol=1e-12)


def no_latents():
    numpyro.sample("y", dist.Normal(0, 1), obs=0.5)


def discrete():
    k = numpyro.sample("k", dist.Bernoulli(0.5))
    numpyro.sample("y", dist.Normal(k, 1), obs=0.5)


def local():
    with numpyro.plate("data", 12, subsample_size=4):
        z = numpyro.sample("z", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(z, 1), obs=numpyro.subsample(DATA, event_dim=0))


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
    with pytest.raises(InputError, match=r"guide: .*AutoDiffusion.*Trace_ELBO"):
        SVI(regression, guide, optax.adam(0.1), PathDerivativeELBO()).run(KEY, 1, progress_bar=False)
    assert np.isfinite(Trace_ELBO().loss(KEY, seen(guide), regression, guide))
