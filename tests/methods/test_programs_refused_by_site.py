"""Programs with a site in the wrong place, or without one, are refused by its name and before any work."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.contrib.module import random_eqx_module
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal
from numpyro.primitives import mutable

import dpm_ppl as dpm
from dpm_ppl.methods.program import Program
from tests.methods.data_programs import AUXILIARY, STANDARD, X_0, from_prior, given, model, observe, plate

KEY = jax.random.key(0)
ONE = dist.Normal(jnp.zeros(1), 1.0).to_event(1)


def before(sample, program=model):
    """The program with something before it."""

    def more(x_0=None, *args, **kwargs):
        sample(x_0)
        return program(x_0, *args, **kwargs)

    return more


def observing(observe, around=plate):
    """A model with another observation, and perhaps around it another plate; and its guide."""

    def other(x_0=None, num_points=None):
        with around(x_0):
            return observe(numpyro.sample("z", STANDARD), x_0)

    return other, from_prior


def shared(around):
    """A latent site outside of the data's plate."""
    site = lambda x_0: around(partial(numpyro.sample, "mean", STANDARD))()  # noqa: E731
    return before(site), before(site, from_prior)


def within(name, size):
    return lambda site: numpyro.plate(name, size)(site)


def also_observing(x_0):
    numpyro.sample("prior", STANDARD, obs=numpyro.param("w", 0.5))


def twice(z, x_0):
    observe(z, x_0)
    return observe(z, x_0, "again")


def of_random_network(x_0=None, num_points=None):
    net = random_eqx_module("net", eqx.nn.Linear(1, 1, key=KEY), dist.Normal())
    with plate(x_0, num_points):
        return observe(jax.vmap(net)(jnp.zeros((len(x_0), 1)))[:, 0], x_0)


def walk(x_0):
    def step(z, t):
        with plate(x_0):
            z = numpyro.sample("walk", dist.Normal(z, 1.0))
        return z, None

    return scan(step, jnp.zeros(len(x_0)), jnp.arange(3), reverse=True)[0]


def backwards(x_0=None, num_points=None):
    last = walk(x_0)
    with plate(x_0):
        return observe(last, x_0)


def in_another_plate(x_0=None, num_points=None):
    with numpyro.plate("other", len(x_0)):
        z = numpyro.sample("z", STANDARD)
    with plate(x_0):
        return observe(z, x_0)


def in_two_plates(x_0=None, num_points=None):
    with plate(x_0, dim=-2), numpyro.plate("again", len(x_0), dim=-1):
        z = numpyro.sample("z", STANDARD)
        return observe(z, x_0)


def at_param(x_0=None, num_points=None):
    with plate(x_0):
        return observe(jnp.broadcast_to(numpyro.param("w", 0.0), len(x_0)), x_0)


def in_no_plate(x_0=None, num_points=None):
    z = numpyro.sample("z", STANDARD.expand([len(x_0)]).to_event(1))
    return numpyro.sample("x_0", dist.Normal(z[..., None], 1.0).to_event(2), obs=x_0)


def of_each_by_name(x_0=None, num_points=None):
    z = jnp.stack([numpyro.sample(f"z_{index}", STANDARD) for index in range(len(x_0))])
    with plate(x_0):
        return observe(z, x_0)


def hide(program, *names):
    return handlers.block(program, hide=list(names))


def fix(program, handler=handlers.substitute):
    return handler(program, {"z": jnp.array(0.3)})


def subsample(x_0):
    return numpyro.plate("data", 9, subsample_size=len(x_0))


def auxiliary(x_0):
    with plate(x_0):
        numpyro.sample("noise", STANDARD, infer=AUXILIARY)


def some(z, x_0):
    return numpyro.sample("x_0", ONE, obs=x_0, obs_mask=jnp.ones(len(x_0), bool))


REFUSED = {
    "a prior on a param": ((before(also_observing), from_prior), "site 'prior', which observes something else than"),
    "conditioned": ((fix(model, handlers.condition), lambda x_0: None), "site 'z', which observes something else than"),
    "observed in the guide": (
        (model, before(lambda x_0: numpyro.sample("y", ONE, obs=x_0), from_prior)),
        "site 'y' of the guide, which is observed",
    ),
    "observed twice": (observing(twice), "site 'again', which observes x_0 again"),
    "observed in part": (observing(lambda z, x_0: observe(z, x_0[:, 0])), r"site 'x_0', whose law has shape \(2, 1\)"),
    "observed transformed": (observing(lambda z, x_0: observe(z, jnp.exp(x_0))), "site 'x_0', which observes somet"),
    "observed in some data": (observing(some), "site 'x_0_observed', which is masked"),
    "not observed": (observing(lambda z, x_0: None), "no site that observes x_0"),
    "observed out of sight": ((hide(model, "x_0"), from_prior), "no site that observes x_0"),
    "law of another shape": (given(STANDARD), r"site 'x_0', whose law has shape \(2,\) for data of shape \(2, 1\)"),
    "fixed": ((fix(model), from_prior), "site 'z', whose value is fixed"),
    "fixed in the guide": ((model, fix(from_prior)), "site 'z', whose value is fixed"),
    "of another shape": ((model, partial(from_prior, law=ONE)), r"site 'z', of shape \(2,\) in the model and \(2, 1\)"),
    "one draw for all": ((model, lambda x_0: numpyro.sample("z", STANDARD)), r"site 'z', of shape .* and \(\) in the"),
    "only in the model": ((model, lambda x_0: None), "site 'z', which the guide lacks"),
    "to be enumerated": ((partial(model, prior=dist.Bernoulli(0.5)), lambda x_0: None), "site 'z', which the guide l"),
    "out of sight in the guide": ((model, hide(from_prior, "z")), "site 'z', which the guide lacks"),
    "only in the guide": ((at_param, from_prior), "site 'z' of the guide, which the model lacks"),
    "auxiliary": ((model, before(auxiliary, from_prior)), "site 'noise' of the guide, which the model lacks"),
    "lifted param": ((handlers.lift(at_param, STANDARD), lambda x_0: None), "site 'w', which the guide lacks"),
    "random network": ((of_random_network, hide(of_random_network, "x_0")), "site 'net/weight', which all data share"),
    "scan in reverse": ((backwards, walk), "site 'walk', in a scan with reverse=True"),
    "shared": (shared(lambda site: site), "site 'mean', which all data share"),
    "shared by two": (shared(within("two", 2)), "site 'mean', which all data share"),
    "shared by three": (shared(within("three", 3)), "site 'mean', which all data share"),
    "a name of its own for each": ((of_each_by_name, hide(of_each_by_name, "x_0")), "site 'z_0', which all data share"),
    "in no plate": ((in_no_plate, hide(in_no_plate, "x_0")), "site 'x_0' in no plate as long as the data"),
    "in another plate": ((in_another_plate, from_prior), "site 'z', which is in another plate"),
    "in two plates": ((in_two_plates, hide(in_two_plates, "x_0")), r"site 'x_0', whose law has shape \(2, 2, 1\)"),
    "in part of a plate": (observing(observe, subsample), "site 'z', which is scaled or of a subsampled plate"),
    "for two data": ((before(lambda x_0: jnp.zeros(2) + x_0[:, 0]), from_prior), "with 3 of them TypeError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name, unchecked):
    programs, message = REFUSED[name]
    with pytest.raises(dpm.InputError, match=f"got {message}") as caught:
        Program(*programs, event_shape=(1,)).check_data(X_0)
    assert "\n" not in str(caught.value)


def test_a_guide_with_params_per_training_datum_is_refused():
    automatic = AutoNormal(model)
    fitted = SVI(model, automatic, optax.adam(1e-2), loss=Trace_ELBO()).run(KEY, 2, X_0, progress_bar=False)
    with pytest.raises(dpm.InputError, match="site 'z', which is scaled or of a subsampled plate"):
        Program(model, automatic, event_shape=(1,), params=fitted.params).check_data(X_0)


@pytest.mark.parametrize(
    "add", [lambda x_0: numpyro.param("other", 0.0), lambda x_0: mutable("other", {})], ids=["param", "state"]
)
def test_what_params_lack_is_refused(add):
    with pytest.raises(dpm.InputError, match="got no value in params for 'other'"):
        Program(before(add), from_prior, event_shape=(1,), params={"w": 0.5}).check_data(X_0)


@pytest.mark.parametrize(
    "returned",
    [lambda z, x: z[:, None], lambda z, x: jnp.tanh(x), lambda z, x: None, lambda z, x: x[:, 0]],
    ids=["another site", "transformed", "nothing", "of another shape"],
)
def test_a_model_that_does_not_return_what_it_draws(returned, unchecked):
    def other(x_0=None, num_points=None):
        with plate(x_0, num_points):
            z = numpyro.sample("z", STANDARD)
            return returned(z, observe(z, x_0))

    program = Program(other, from_prior, event_shape=(1,))
    for draw in (partial(program.sample, KEY, 3), partial(dpm.sandwich, program, KEY, 3, 4)):
        with pytest.raises(dpm.InputError, match="model: expected the draws of the site that observes x_0"):
            draw()
