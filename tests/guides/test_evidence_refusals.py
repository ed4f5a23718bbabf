"""Pairs that have no evidence to give, and input that does not fit them: one line each, before any draw."""

import re
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import (
    AutoBNAFNormal,
    AutoDAIS,
    AutoDelta,
    AutoDiagonalNormal,
    AutoMultivariateNormal,
    AutoNormal,
)

from dpm_ppl._common.errors import InputError
from dpm_ppl.guides import evidence
from tests.guides.programs import BEST, Y, normal, normal_guide
from tests.instances import instance

KEY = jax.random.key(0)
DRAWS = {"z": np.zeros((10, 3))}


def no_latents(y):
    numpyro.sample("y", dist.Normal().expand([3]).to_event(1), obs=y)


def discrete(y):
    which = numpyro.sample("which", dist.Bernoulli(0.3))
    numpyro.sample("y", dist.Normal(which, 1.0).expand([3]).to_event(1), obs=y)


def improper(y):
    numpyro.sample("free", dist.ImproperUniform(dist.constraints.real, (), ()))
    normal(y)


def infinite(y):
    normal(y)
    numpyro.factor("more", jnp.inf)


def impossible(y):
    normal(y)
    numpyro.factor("less", -jnp.inf)


def subsampled(y):
    with numpyro.plate("data", 3, subsample_size=2):
        z = numpyro.sample("z", dist.Normal())
        numpyro.sample("y", dist.Normal(z, 0.5), obs=numpyro.subsample(y, 0))


def silent(y):
    """Draws nothing."""


def with_more(y):
    normal_guide(y)
    numpyro.sample("more", dist.Normal())


def point(y):
    numpyro.sample("z", dist.Delta(jnp.zeros(3), event_dim=1))


def without_density(y):
    a = numpyro.sample("a", dist.Normal().expand([3]).to_event(1), infer={"is_auxiliary": True})
    with numpyro.plate("data", 3):
        numpyro.sample("z", dist.Delta(2 * a))


def unreversed(y):
    scale = numpyro.sample("scale", dist.LogNormal(), infer={"is_auxiliary": True})
    with numpyro.plate("data", 3):
        numpyro.sample("z", dist.Normal(0.0, scale))


def narrow(y):
    with numpyro.plate("data", 2):
        numpyro.sample("z", dist.Normal())


def first_params(model, guide, *args):
    svi = SVI(model, guide, optax.adam(1e-2), Trace_ELBO())
    return svi.get_params(svi.init(KEY, *args))


class Bad(NamedTuple):
    model: Any
    guide: Any
    argument: str
    got: str
    params: Any = BEST
    reference: Any = None


BAD = {
    "model without latents": Bad(no_latents, silent, "model", "none", {}),
    "model without latents, automatic guide": Bad(no_latents, AutoNormal(no_latents), "model", "none", {}),
    "discrete latents": Bad(discrete, silent, "guide", "the discrete latent 'which'", {}),
    "discrete latents, automatic guide": Bad(discrete, AutoNormal(discrete), "guide", "discrete", {}),
    "improper": Bad(improper, AutoNormal(improper), "model", "the improper site 'free'", {}),
    "evidence infinite": Bad(infinite, normal_guide, "model and guide", "log-weights that are NaN or \\+inf"),
    "evidence zero": Bad(impossible, normal_guide, "model and guide", "weights of 0"),
    "subsampled": Bad(subsampled, normal_guide, "model", "plate 'data' with 2 of 3"),
    "guide without a site": Bad(normal, silent, "guide", "the latent 'z'", {}),
    "guide with another site": Bad(normal, with_more, "guide", "site 'more', which the model lacks"),
    "guide of another shape": Bad(normal, narrow, "(guide|model and guide)", "", {}),
    "point mass": Bad(normal, point, "guide", "site 'z'", {}),
    "AutoDelta": Bad(normal, AutoDelta(normal), "guide", "AutoDelta, a point mass", {"z_auto_loc": jnp.zeros(3)}),
    "map without its density": Bad(normal, without_density, "guide", "whose density is not", {}),
    "auxiliary without a law": Bad(normal, unreversed, "guide", "auxiliary site 'scale'", {}),
    "no model": Bad("normal", normal_guide, "model", "'normal'"),
    "no guide": Bad(normal, BEST, "guide", "dict"),
    "params missing": Bad(normal, normal_guide, "params", "none of scale and slope", {}),
    "params of another guide": Bad(
        normal,
        AutoMultivariateNormal(normal),
        "params",
        "none of auto_scale_tril",
        {"auto_loc": jnp.zeros(3), "auto_scale": jnp.ones(3)},
    ),
    "params of another model": Bad(
        normal,
        AutoDiagonalNormal(normal),
        "params",
        "shape \\(5,\\)",
        {"auto_loc": jnp.zeros(5), "auto_scale": jnp.ones(5)},
    ),
    "params of no one": Bad(normal, normal_guide, "params", "also other", BEST | {"other": 1.0}),
    "params of the wrong kind": Bad(normal, normal_guide, "params", "\\[1.0\\]", [1.0]),
    "reference of other sites": Bad(normal, normal_guide, "reference", "none of z", reference={"x": np.zeros(3)}),
    "reference with more": Bad(normal, normal_guide, "reference", "also x", reference=DRAWS | {"x": np.zeros(10)}),
    "reference of another shape": Bad(
        normal, normal_guide, "reference, site z", "shape \\(10, 2\\)", reference={"z": np.zeros((10, 2))}
    ),
    "reference not finite": Bad(
        normal, normal_guide, "reference, site z", "30 NaN", reference={"z": np.full((10, 3), np.nan)}
    ),
    "reference of the wrong kind": Bad(normal, normal_guide, "reference", "\\[1.0\\]", reference=[1.0]),
    "no inverse": Bad(
        normal,
        AutoBNAFNormal(normal),
        "reference",
        "AutoBNAFNormal",
        lambda guide: first_params(normal, guide, Y),
        DRAWS,
    ),
    "unknown path": Bad(
        normal,
        AutoDAIS(normal),
        "reference",
        "auto_z_0 and auto_momentum",
        lambda guide: first_params(normal, guide, Y),
        DRAWS,
    ),
}


@pytest.mark.parametrize("name", [instance(name, quick=name != "no inverse") for name in BAD])
def test_bad_input_is_refused(name, unchecked):
    bad = BAD[name]
    params = bad.params(bad.guide) if callable(bad.params) else bad.params
    call = partial(evidence, bad.model, bad.guide, params, Y, key=KEY, num_particles=300, reference=bad.reference)
    with pytest.raises(InputError) as caught:
        call()
    assert re.fullmatch(bad.argument, caught.value.argument)
    assert re.search(bad.got, caught.value.got)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"key": 0}, {"num_particles": 0}, {"particles_chunk": 0.5}])
def test_bad_options_are_refused(options, unchecked):
    with pytest.raises(InputError, match=next(iter(options))):
        evidence(normal, normal_guide, BEST, Y, **{"key": KEY} | options)


def test_a_wrong_argument_is_told_in_one_line():
    with pytest.raises(InputError, match="model: expected programs of these params, args and kwargs, got TypeError"):
        evidence(normal, normal_guide, BEST, key=KEY)


def test_an_improper_prior_that_the_data_tell_of_is_fine():
    def model(y):
        z = numpyro.sample("z", dist.ImproperUniform(dist.constraints.real, (), ()))
        numpyro.sample("y", dist.Normal(z, 1.0).expand([3]).to_event(1), obs=y)

    def guide(y):
        numpyro.sample("z", dist.Normal(jnp.mean(y), 3**-0.5))

    found = evidence(model, guide, {}, Y, key=KEY, num_particles=300)
    exact = -np.log(2 * np.pi) - np.log(3) / 2 - ((Y - Y.mean()) ** 2).sum() / 2
    np.testing.assert_allclose(found.log_weights, exact, atol=1e-5)
