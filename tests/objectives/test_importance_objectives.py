"""Objectives tighter than K: their values, the doubly reparametrised gradient, and what it saves."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.infer import SVI, RenyiELBO, Trace_ELBO
from numpyro.infer.autoguide import AutoDelta, AutoMultivariateNormal

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.chains import forward_chain, reverse_chain
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.objectives.importance_weighted import DoublyReparametrisedELBO, importance_weighted_elbo, renyi_elbo
from dpm_ppl.schedules import Erasure, Learned
from tests.comparisons import KEY, assert_exact, assert_same_mean, assert_within, draws, programs, value
from tests.instances import draw_data, instance, small
from tests.oracles import AtRest

# z ~ N(m, 1), x | z ~ N(z, 1), whose posterior is N((m + x) / 2, 1 / 2).

X = np.array([0.5, -1.0, 2.0, 0.1])
PARAMS = {"m": 0.3, "slope": 0.3, "shift": 0.2, "log_scale": 0.1}
POSTERIOR = {"m": 0.3, "slope": 0.5, "shift": 0.15, "log_scale": np.log(0.5) / 2}
GUIDE_PARAMS = ("slope", "shift", "log_scale")


def model(x, subsample_size=None):
    m = numpyro.param("m", 0.0)
    with numpyro.plate("data", len(x), subsample_size=subsample_size):
        z = numpyro.sample("z", dist.Normal(m, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=numpyro.subsample(x, event_dim=0))


def guide(x, subsample_size=None):
    slope, shift, log_scale = (numpyro.param(name, 0.0) for name in GUIDE_PARAMS)
    with numpyro.plate("data", len(x), subsample_size=subsample_size):
        loc = slope * numpyro.subsample(x, event_dim=0) + shift
        numpyro.sample("z", dist.Normal(loc, jnp.exp(log_scale)))


# The same with a second latent between z and x, both drawn as vectors with an inner plate of their own.


def model_of_two(x, subsample_size=None):
    m = numpyro.param("m", 0.0)
    with numpyro.plate("data", len(x), subsample_size=subsample_size, dim=-2):
        batch = numpyro.subsample(jnp.asarray(x)[:, None], event_dim=0)
        with numpyro.plate("inner", 2, dim=-1):
            z = numpyro.sample("z", dist.Normal(m, 1.0))
            y = numpyro.sample("y", dist.Normal(z[..., None], jnp.ones(3)).to_event(1))
            numpyro.sample("x", dist.Normal(y.sum(axis=-1), 1.0), obs=jnp.broadcast_to(batch, z.shape))


def guide_of_two(x, subsample_size=None):
    slope, shift, log_scale = (numpyro.param(name, 0.0) for name in GUIDE_PARAMS)
    with numpyro.plate("data", len(x), subsample_size=subsample_size, dim=-2):
        batch = numpyro.subsample(jnp.asarray(x)[:, None], event_dim=0)
        with numpyro.plate("inner", 2, dim=-1):
            z = numpyro.sample("z", dist.Normal(slope * batch + shift, jnp.exp(log_scale)))
            numpyro.sample("y", dist.Normal(shift + slope * z[..., None], jnp.ones(3)).to_event(1))


def gradients(objective, programs, params, *args, num=2000, **kwargs):
    """Independent draws of the gradient, `(num, parameter)`, in the order of the sorted names."""

    def one(key):
        def loss(params):
            return objective.loss(key, params, *programs, *args, **kwargs)

        return ravel_pytree(jax.grad(loss)(params))[0]

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, num)), np.float64)


def columns(*names, params=PARAMS):
    return [sorted(params).index(name) for name in names]


# Values.


def test_the_value_is_the_importance_weighted_bound_of_the_same_draws():
    objectives = DoublyReparametrisedELBO(6), RenyiELBO(num_particles=6)
    diffusion = small(GaussianKernel(), Learned(Erasure(3, beta_1=0.05)), (2,))
    chains, x_0 = programs(diffusion), draw_data(diffusion, 5)
    for of_model, of_guide, x in [(*chains, x_0), (model, guide, X), (model_of_two, guide_of_two, X)]:
        subsampled = (partial(of_model, subsample_size=2), partial(of_guide, subsample_size=2))
        got, expected = (value(objective, *subsampled, x) for objective in objectives)
        assert got == pytest.approx(expected, rel=1e-6)


def test_importance_weighted_bounds_increase():
    """From K to the log-likelihood of z + noise ~ N(m, 2), which is known."""
    bounds = [draws(importance_weighted_elbo(k), model, guide, X, params=PARAMS, num=2000) for k in (1, 4, 64)]
    plain = draws(Trace_ELBO(), model, guide, X, params=PARAMS, num=2000)
    assert_same_mean(bounds[0], plain)
    exact = float(dist.Normal(PARAMS["m"], np.sqrt(2)).log_prob(X).sum())
    means = [b.mean() for b in bounds]
    assert means[0] < means[1] < means[2] < exact < means[2] + 0.1


def test_renyi_bounds_fall_with_alpha():
    means = [draws(renyi_elbo(a, 8), model, guide, X, params=PARAMS, num=2000).mean() for a in (0.0, 0.5, 2.0)]
    plain = draws(Trace_ELBO(), model, guide, X, params=PARAMS, num=2000).mean()
    assert means[0] > means[1] > plain > means[2]


# The gradient.


@pytest.mark.parametrize("num_particles", [1, 3])
def test_the_gradient_by_hand(num_particles, x64):
    """For one datum: d/dm sums w~ (z - m), the guide's w~^2 dlog w/dz with dz = (x, 1, z - loc)."""
    x, params = X[:1], PARAMS
    got = gradients(DoublyReparametrisedELBO(num_particles), (model, guide), params, x, num=1)[0]
    m, slope, shift, log_scale = (params[name] for name in ("m", *GUIDE_PARAMS))
    drawn = handlers.substitute(guide, params)
    key = jax.random.split(jax.random.split(KEY, 1)[0])[1]
    z = np.array(
        [
            handlers.trace(handlers.seed(drawn, jax.random.split(k)[1])).get_trace(x)["z"]["value"][0]
            for k in jax.random.split(key, num_particles)
        ]
    )
    loc, variance = slope * x[0] + shift, np.exp(2 * log_scale)
    log_w = -((z - m) ** 2 + (x[0] - z) ** 2 - (z - loc) ** 2 / variance) / 2
    share = np.exp(log_w) / np.exp(log_w).sum()
    by_z = share**2 * ((m - z) + (x[0] - z) + (z - loc) / variance)
    by_hand = {
        "m": share @ (z - m),
        "slope": by_z.sum() * x[0],
        "shift": by_z.sum(),
        "log_scale": by_z @ (z - loc),
    }
    assert_exact(-got, [by_hand[name] for name in sorted(params)])


@pytest.mark.parametrize(
    ("subsample_size", "num_particles", "programs"),
    [
        instance(None, 1, (model, guide), quick=True, name="whole-1-one latent"),
        instance(None, 1, (model_of_two, guide_of_two), quick=False, name="whole-1-two"),
        instance(None, 4, (model, guide), quick=False, name="whole-4-one latent"),
        instance(None, 4, (model_of_two, guide_of_two), quick=True, name="whole-4-two"),
        instance(2, 1, (model, guide), quick=False, name="subsampled-1-one latent"),
        instance(2, 1, (model_of_two, guide_of_two), quick=True, name="subsampled-1-two"),
        instance(2, 4, (model, guide), quick=True, name="subsampled-4-one latent"),
        instance(2, 4, (model_of_two, guide_of_two), quick=False, name="subsampled-4-two"),
    ],
)
def test_the_mean_gradient_is_that_of_the_plain_estimator(programs, num_particles, subsample_size):
    doubly, plain = (
        gradients(objective, programs, PARAMS, X, num=4000, subsample_size=subsample_size)
        for objective in (DoublyReparametrisedELBO(num_particles), RenyiELBO(num_particles=num_particles))
    )
    assert_same_mean(doubly, plain)
    if programs == (model, guide):
        by_model, by_guide = columns("m"), columns(*GUIDE_PARAMS)
        np.testing.assert_allclose(doubly[:, by_model], plain[:, by_model], rtol=1e-3, atol=1e-4)
        assert (doubly[:, by_guide].std(axis=0) < plain[:, by_guide].std(axis=0)).all()


def test_particles_do_not_drown_the_gradient_of_the_guide():
    """Signal over noise falls as 1/sqrt(k) for the plain estimator, and grows for this one (Rainforth et al. 2018)."""

    def signal_to_noise(objective):
        values = gradients(objective, (model, guide), PARAMS, X, num=4000)[:, columns("log_scale")]
        return float(np.abs(values.mean()) / values.std())

    plain = [signal_to_noise(RenyiELBO(num_particles=k)) for k in (4, 64)]
    doubly = [signal_to_noise(DoublyReparametrisedELBO(k)) for k in (4, 64)]
    assert plain[1] < 0.6 * plain[0]
    assert doubly[1] > 2 * doubly[0]


@pytest.mark.parametrize("num_particles", [1, 5])
def test_an_exact_guide_has_no_gradient_in_any_draw(num_particles, x64):
    doubly, plain = (
        gradients(objective, (model, guide), POSTERIOR, X, num=50)[:, columns(*GUIDE_PARAMS)]
        for objective in (DoublyReparametrisedELBO(num_particles), RenyiELBO(num_particles=num_particles))
    )
    assert np.abs(doubly).max() < 1e-12 < np.abs(plain).min()


def chain_case(subsample_size=None):
    diffusion = small(GaussianKernel(), Learned(Erasure(3, beta_1=0.05)), ())
    x_0 = draw_data(diffusion, 4)
    svi = SVI(*programs(diffusion), optax.adam(1e-3), Trace_ELBO())
    params = svi.get_params(svi.init(KEY, x_0))
    chains = tuple(partial(chain, diffusion, subsample_size=subsample_size) for chain in (reverse_chain, forward_chain))
    return chains, params, x_0


@pytest.mark.parametrize(
    ("objective", "num_particles", "subsample_size"),
    [
        instance(DiffusionELBO(), 1, None, quick=True, name="K"),
        instance(RenyiELBO(num_particles=3), 3, None, quick=False, name="importance-weighted"),
        instance(RenyiELBO(num_particles=3), 3, 2, quick=True, name="subsampled"),
    ],
)
def test_a_schedule_that_both_chains_share(objective, num_particles, subsample_size):
    """Its gradient comes through the reverse chain's densities and the forward chain's draws, and both must count."""
    chains, params, x_0 = chain_case(subsample_size)
    doubly = gradients(DoublyReparametrisedELBO(num_particles), chains, params, x_0)
    assert_same_mean(doubly, gradients(objective, chains, params, x_0))
    assert (doubly.std(axis=0) > 0).all()


def test_what_a_shared_schedule_pays(x64):
    """A chain at rest weights all paths alike, whatever its rates, and the plain gradient sees that in every draw.

    The doubly reparametrised one has the same mean, but parts what cancelled.
    """
    diffusion = Diffusion(GaussianKernel(), Learned(Erasure(3, beta_1=0.05)), AtRest(2), ())
    params = {"diffusion$params": eqx.filter(diffusion, eqx.is_inexact_array)}
    x_0 = draw_data(diffusion, 3)
    doubly, plain = (
        gradients(objective, programs(diffusion), params, x_0, num=500)
        for objective in (DoublyReparametrisedELBO(4), RenyiELBO(num_particles=4))
    )
    assert np.abs(plain).max() < 1e-10
    assert_within(doubly[:, 0], 0.0)
    assert_within(doubly[:, 1], 0.0)
    assert (doubly.std(axis=0) > 1e-3).all()


# Programs.


def test_a_global_latent_and_an_automatic_guide():
    """A site without a plate is weighted jointly, and a guide's latents may be functions of one another."""

    def model(x):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        scale = numpyro.sample("scale", dist.LogNormal(0.0, 0.5))
        with numpyro.plate("data", len(x)):
            numpyro.sample("x", dist.Normal(z, scale), obs=x)

    guide = AutoMultivariateNormal(model)
    params = SVI(model, guide, optax.adam(1e-3), Trace_ELBO())
    params = params.get_params(params.init(KEY, X))
    doubly, plain = (
        gradients(objective, (model, guide), params, X, num=4000)
        for objective in (DoublyReparametrisedELBO(4), RenyiELBO(num_particles=4))
    )
    assert_same_mean(doubly, plain)


def test_svi_finds_the_posterior_and_compiles_once():
    traced = []

    def counted(x):
        traced.append(1)
        model(x)

    svi = SVI(counted, guide, optax.adam(optax.cosine_decay_schedule(0.05, 1000)), DoublyReparametrisedELBO(4))
    state = svi.init(KEY, X)
    update = jax.jit(svi.update)
    update(state, X)
    num_traces = len(traced)
    state, _ = jax.lax.scan(lambda state, _: svi.update(state, X), state, None, length=1000)
    for _ in range(3):
        state, loss = update(state, X)
    assert update._cache_size() == 1
    assert len(traced) <= 2 * num_traces
    found = svi.get_params(state)
    m = X.mean()
    expected = {"m": m, "slope": 0.5, "shift": m / 2, "log_scale": np.log(0.5) / 2}
    for name, number in expected.items():
        assert float(found[name]) == pytest.approx(number, abs=0.02)
    assert float(loss) == pytest.approx(-float(dist.Normal(m, np.sqrt(2)).log_prob(X).sum()), abs=0.02)


# What cannot be done.


def test_a_chain_of_bits_is_refused():
    diffusion = small(BernoulliKernel(0.2), Erasure(3), (2,), network="sigmoid")
    with pytest.raises(InputError, match=r"path: expected a reparametrised site.* got ForwardChain; .*RenyiELBO"):
        value(DoublyReparametrisedELBO(2), *programs(diffusion), draw_data(diffusion, 3))


def test_point_masses_are_refused():
    guide = AutoDelta(model)
    SVI(model, guide, optax.adam(1e-3), Trace_ELBO()).init(KEY, X)
    with pytest.raises(InputError, match="guide: expected a site with a density, got point masses only"):
        value(DoublyReparametrisedELBO(2), model, guide, X)


def test_a_guide_without_the_plate_of_the_model_is_refused():
    def guide(x):
        numpyro.sample("z", dist.Normal(jnp.zeros(len(x)), 1.0))

    with pytest.raises(InputError, match="z: expected the guide's site inside the plates"):
        value(DoublyReparametrisedELBO(2), model, guide, X)


@pytest.mark.parametrize("alpha", [1, 1.0, -0.5, np.nan, np.inf])
def test_orders_out_of_range(alpha, unchecked):
    with pytest.raises(InputError, match=r"alpha: expected a finite number .* Trace_ELBO"):
        renyi_elbo(alpha, 4)


@pytest.mark.parametrize("make", [importance_weighted_elbo, partial(renyi_elbo, 0.5), DoublyReparametrisedELBO])
@pytest.mark.parametrize("num_particles", [0, -1, 2.5])
def test_numbers_of_particles_out_of_range(make, num_particles, unchecked):
    with pytest.raises(InputError, match="num_particles: expected a positive integer"):
        make(num_particles)
