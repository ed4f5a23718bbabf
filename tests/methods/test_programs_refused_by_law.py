"""Programs with a site whose law makes their weights no likelihood are refused by its name and before any work."""

from functools import partial

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.distributions.transforms import AffineTransform
from numpyro.infer.reparam import CircularReparam

import dpm_ppl as dpm
from dpm_ppl.methods.program import Program
from tests.methods.data_programs import AUXILIARY, STANDARD, X_0, from_prior, given, model, plate

KEY = jax.random.key(0)
ZERO = jnp.zeros(1)
POINT = dist.Delta(jnp.zeros(()))
FLAT = dist.ImproperUniform(dist.constraints.real, (), ())
SPIKE_AND_SLAB = dist.MixtureGeneral(
    dist.Categorical(probs=jnp.array([0.5, 0.5])), [dist.Delta(ZERO, event_dim=1), dist.Normal(ZERO, 1.0).to_event(1)]
)


def prior(law, guide=STANDARD):
    return partial(model, prior=law), partial(from_prior, law=guide)


def drawn(law):
    return model, partial(from_prior, law=law)


def by_element(law):
    return given(law.to_event(1))


def and_factor(program, inside=False):
    """The program and a factor, in the plate of the data or outside of it."""

    def more(x_0=None, *args, **kwargs):
        if inside:
            with plate(x_0):
                numpyro.factor("penalty", -5.0)
        else:
            numpyro.factor("penalty", -5.0)
        return program(x_0, *args, **kwargs)

    return more


def with_density(log_density):
    """A guide by change of variables, whose Jacobian is log 2."""

    def guide(x_0):
        with plate(x_0):
            noise = numpyro.sample("noise", STANDARD, infer=AUXILIARY)
            numpyro.sample("z", dist.Delta(2.0 * noise, log_density=log_density))

    return guide


NO_DENSITY, FACTOR = "'z', a point mass, which has no density", "'penalty', a factor, which is no density"
REFUSED = {
    "point mass as guide": (drawn(POINT), NO_DENSITY),
    "point mass as prior": (prior(POINT), NO_DENSITY),
    "point mass as both": (prior(POINT, POINT), NO_DENSITY),
    "point mass, expanded": (drawn(dist.Delta(0.0).expand([])), NO_DENSITY),
    "point mass, transformed": (drawn(dist.TransformedDistribution(POINT, AffineTransform(1, 2))), NO_DENSITY),
    "point mass as data": (given(dist.Delta(ZERO, event_dim=1)), "'x_0', a point mass"),
    "point mass in a mixture": (given(SPIKE_AND_SLAB), "'x_0', a point mass"),
    "point mass without its Jacobian": ((model, with_density(0.0)), NO_DENSITY),
    "point mass with another Jacobian": ((model, with_density(jnp.log(2.0))), NO_DENSITY),
    "factor": ((and_factor(model), from_prior), FACTOR),
    "factor of each datum": ((and_factor(model, inside=True), from_prior), FACTOR),
    "factor in the guide": ((model, and_factor(from_prior)), FACTOR),
    "factor of a reparametrisation": (
        (handlers.reparam(partial(model, prior=dist.VonMises(0.0, 1.0)), {"z": CircularReparam()}), from_prior),
        "'z_unwrapped', which is improper",
    ),
    "improper prior": (prior(FLAT), "'z', which is improper"),
    "improper law of data": (by_element(FLAT.expand([1])), "'x_0', which is improper"),
    "masked prior": (prior(STANDARD.mask(False).expand([])), "'z', which is masked"),
    "masked law of data": (by_element(dist.Normal(ZERO, 1.0).mask(False)), "'x_0', which is masked"),
    "masked by handler": ((handlers.mask(model, mask=False), from_prior), "'z', which is masked"),
    "guide masked": ((model, handlers.mask(from_prior, mask=jnp.array(False))), "'z', which is masked"),
    "scaled": ((handlers.scale(model, scale=0.1), from_prior), "'z', which is scaled"),
    "guide scaled": ((model, handlers.scale(from_prior, scale=0.1)), "'z', which is scaled"),
    "censored": (
        by_element(dist.RightCensoredDistribution(dist.Normal(ZERO, 1.0), jnp.ones(1))),
        "'x_0', which is censored",
    ),
    "guide of positive values": (drawn(dist.HalfNormal(1.0)), "'z', which the guide draws from Positive.* all of Real"),
    "guide of some values": (
        prior(dist.Uniform(0.0, 2.0), dist.Beta(1.0, 1.0)),
        "'z', which the guide draws from UnitInterval",
    ),
    "guide cut off by a param": (
        (model, lambda x_0: from_prior(x_0, dist.TruncatedNormal(low=numpyro.param("low", 0.0)))),
        "'z', which the guide draws from GreaterThanEq",
    ),
    "guide of bits": (drawn(dist.Bernoulli(0.5)), "'z', which the guide draws from Boolean"),
    "guide of fewer categories": (
        prior(dist.Categorical(jnp.full(3, 1 / 3)), dist.Categorical(jnp.full(2, 1 / 2))),
        "'z', which the guide draws from IntegerInterval",
    ),
    "guide off a simplex": (
        (
            partial(model, prior=dist.Dirichlet(jnp.ones(2)), then=lambda z: z[:, 0]),
            partial(from_prior, law=dist.Normal(jnp.zeros(2), 1.0).to_event(1)),
        ),
        "'z', which the guide draws from Real.* all of Simplex",
    ),
    "data that are not positive": (by_element(dist.HalfNormal(jnp.ones(1))), "'x_0', whose support Positive.* lacks -"),
    "data that are no bits": (by_element(dist.Bernoulli(jnp.full(1, 0.5))), "'x_0', whose support Boolean.* lacks"),
    "prior that reads the data": (
        (lambda x_0=None, num_points=None: model(x_0, prior=dist.Normal(x_0.mean(axis=-1), 1.0)), from_prior),
        "'z', whose law in the model depends on x_0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name, unchecked):
    programs, message = REFUSED[name]
    with pytest.raises(dpm.InputError, match=f"got site {message}") as caught:
        Program(*programs, event_shape=(1,)).check_data(X_0)
    assert "\n" not in str(caught.value)
    if "whose support" not in message:
        with pytest.raises(dpm.InputError, match=f"got site {message}"):
            dpm.sandwich(Program(*programs, event_shape=(1,)), KEY, 3, 4)


@pytest.mark.parametrize(
    "programs",
    [
        drawn(STANDARD),
        (model, with_density(-jnp.log(2.0))),
        prior(dist.Exponential(1.0), STANDARD),
        prior(dist.Exponential(1.0), dist.LogNormal()),
        prior(dist.Uniform(0.0, 1.0), dist.Beta(1.0, 1.0)),
        drawn(dist.Cauchy()),
        by_element(dist.TruncatedNormal(ZERO, 1.0, low=-9.0)),
    ],
)
def test_what_differs_from_them_in_that_alone_is_not(programs):
    Program(*programs, event_shape=(1,)).check_data(X_0)
