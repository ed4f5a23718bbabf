"""Each thing that the library takes from NumPyro without its promise, by itself: what breaks here has moved."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.contrib.module import eqx_module
from numpyro.distributions import constraints
from numpyro.infer import MCMC, NUTS, SVI, RenyiELBO, Trace_ELBO
from numpyro.infer.autoguide import AutoDiagonalNormal, AutoMultivariateNormal, AutoNormal
from numpyro.primitives import Messenger

from dpm_ppl._common import numpyro_seam as seam

KEY = jax.random.key(0)


def model(x_0):
    z = numpyro.sample("z", dist.Normal(0.0, 1.0))
    numpyro.sample("x_0", dist.Normal(z, 1.0, validate_args=False), obs=x_0)


def guide(x_0):
    scale = numpyro.param("scale", 1.0, constraint=constraints.positive)
    numpyro.sample("z", dist.Normal(numpyro.param("loc", 0.0), scale))


def traced(program, *args):
    return handlers.trace(handlers.seed(program, 0)).get_trace(*args)


def test_the_site_of_a_module():
    sites = traced(lambda: eqx_module("net", eqx.nn.Linear(2, 1, key=KEY)))
    assert list(sites) == [seam.params_site("net")]


def test_what_init_leaves_on_the_svi_object():
    def bounded(x_0):
        numpyro.param("loc", 1.0, constraint=constraints.greater_than(jnp.asarray(x_0) - 5.0))

    svi = SVI(model, bounded, optax.sgd(0.1), Trace_ELBO())
    jax.jit(svi.init)(KEY, 0.0)
    assert seam.is_set_up_by_trace(svi)
    svi.init(KEY, 0.0)
    assert not seam.is_set_up_by_trace(svi)


@pytest.mark.parametrize("optimiser", [optax.adam(0.1), numpyro.optim.Adam(0.1), numpyro.optim.ClippedAdam(0.1)])
def test_updates_that_are_not_finite_are_dropped(optimiser):
    svi = SVI(model, guide, optimiser, Trace_ELBO())
    state = svi.init(KEY, 0.3)
    guarded = seam.dropping_what_is_not_finite(svi)
    for x_0, num in ((0.3, 1), (jnp.nan, 1), (jnp.inf, 1), (0.3, 2)):
        before, (state, _) = state, guarded.update(state, x_0)
        assert seam.num_kept(state) == num
        assert eqx.tree_equal(before.optim_state, state.optim_state) == (not np.isfinite(x_0))
    for name, value in svi.get_params(svi.update(before, 0.3)[0]).items():
        np.testing.assert_allclose(guarded.get_params(state)[name], value, rtol=1e-6)


def test_particles_run_by_a_function_of_ones_own():
    plain, seen = RenyiELBO(num_particles=3), []

    def run(particle, keys):
        seen.append(len(keys))
        return jax.vmap(particle)(keys)

    losses = [
        loss.loss(KEY, {"loc": 0.0, "scale": 1.0}, model, guide, 0.3)
        for loss in (plain, seam.with_all_particles(plain, run))
    ]
    assert losses[0] == losses[1]
    assert seen == [3]


@pytest.mark.parametrize("mask", [False, np.array([True, False])], ids=repr)
def test_the_mask_of_a_law(mask):
    law = dist.Normal(0.0, 1.0).expand((2,)).mask(mask)
    np.testing.assert_array_equal(seam.mask_of(law), mask)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_a_scan_says(reverse):
    found = {}

    class Look(Messenger):
        def process_message(self, msg):
            found[msg.get("name") or msg["type"]] = seam.scans_backwards(msg), seam.is_left_by_scan(msg)

    def program():
        numpyro.sample("before", dist.Normal(0.0, 1.0))
        scan(lambda carry, _: (numpyro.sample("inside", dist.Normal(carry, 1.0)),) * 2, 0.0, None, 3, reverse=reverse)

    with Look():
        handlers.seed(program, 0)()
    assert found["before"] == (None, False)
    assert found["control_flow"] == (reverse, False)
    assert found["inside"] == (None, True)


def test_what_depends_on_the_data():
    def program(x_0):
        return {"a": x_0 + 1, "b": jnp.zeros(2), "c": jax.jit(jnp.sin)(x_0)}

    assert seam.dependent_on(program, jnp.ones(2)) == {"a", "c"}


def test_where_the_constraints_stand():
    of_numpyro = constraints.real, constraints.positive, constraints.interval(0, 1)
    assert all(map(seam.is_numpyros, of_numpyro))

    class Mine(constraints.Constraint):
        pass

    assert not any(map(seam.is_numpyros, (Mine(), None)))


def test_a_draw_weighed_site_by_site():
    params = {"loc": 0.5, "scale": 2.0}
    of_model, of_guide = seam.weighed_draw(handlers.seed(model, 1), handlers.seed(guide, 0), (0.3,), {}, params)
    z = of_guide["z"]["value"]
    assert of_model["z"]["value"] == z
    assert of_guide["z"]["log_prob"] == dist.Normal(0.5, 2.0).log_prob(z)
    assert of_model["x_0"]["log_prob"] == dist.Normal(z, 1.0).log_prob(0.3)


def test_an_automatic_guide_is_set_up_once():
    auto = AutoNormal(model)
    assert auto.prototype_trace is None
    seam.set_up(auto, KEY, (0.3,), {})
    first = auto.prototype_trace
    assert "z" in first
    seam.set_up(auto, KEY, (0.3,), {})
    assert auto.prototype_trace is first


def test_the_site_that_an_automatic_guide_makes_all_latents_of():
    def several(x_0):
        share = numpyro.sample("share", dist.Beta(2.0, 2.0))
        numpyro.sample("z", dist.Normal(share, 1.0).expand([2]).to_event(1))

    auto = AutoMultivariateNormal(several, prefix="own")
    seam.set_up(auto, KEY, (0.3,), {})
    latents = {"share": jnp.array(0.3), "z": jnp.array([0.1, -2.0])}
    (name,) = placed = seam.unconstrained_site(auto, latents)
    assert name == "_own_latent"
    sites = traced(handlers.substitute(auto, data=placed), 0.3)
    for site, value in latents.items():
        np.testing.assert_allclose(sites[site]["value"], value, rtol=1e-6)


def test_an_automatic_guide_that_draws_from_another_law():
    auto = AutoMultivariateNormal(model)
    seam.set_up(auto, KEY, (0.3,), {})
    law = dist.Normal(jnp.full(1, 7.0), 1e-3).to_event(1)
    sites = traced(seam.drawing_from(auto, law), 0.3)
    assert abs(sites["z"]["value"] - 7) < 0.1
    assert abs(traced(auto, 0.3)["z"]["value"]) < 5


def test_the_law_of_an_automatic_guide_declares_its_params():
    auto = AutoDiagonalNormal(model)
    seam.set_up(auto, KEY, (0.3,), {})
    with handlers.trace() as sites, handlers.seed(rng_seed=0):
        law = seam.posterior_law(auto)
    assert set(sites) == {"auto_loc", "auto_scale"}
    np.testing.assert_array_equal(law.loc, sites["auto_loc"]["value"])


@pytest.mark.parametrize(("is_on", "expected"), [(True, 0.0), (False, 2.0)])
def test_params_that_are_held(is_on, expected):
    def value(loc):
        with handlers.substitute(data={"loc": loc}), seam.HoldingParams(is_on):
            return 2 * numpyro.param("loc", 1.0)

    assert value(3.0) == 6
    assert jax.grad(value)(3.0) == expected


def test_chains_that_have_not_run():
    mcmc = MCMC(NUTS(model), num_warmup=2, num_samples=4, progress_bar=False)
    assert seam.samples_of(mcmc) is None
    mcmc.run(KEY, 0.3)
    assert seam.samples_of(mcmc)["z"].shape == (1, 4)
