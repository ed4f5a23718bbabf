"""Programs of many shapes whose likelihood is known: z ~ N(0, 1) and x_0 | z ~ N(z, 0.5^2) if nothing else is said."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.distributions.transforms import AffineTransform
from numpyro.infer.reparam import LocScaleReparam, TransformReparam
from numpyro.primitives import mutable
from scipy.stats import exponnorm, norm

import dpm_ppl as dpm
from dpm_ppl.methods.base import log_weights
from dpm_ppl.methods.program import Program
from tests.comparisons import assert_within
from tests.methods.data_programs import AUXILIARY, STANDARD, X_0, S, from_prior, model, observe, plate

KEY = jax.random.key(0)
MEAN, SCALE = 1 / (1 + S**2), S / np.hypot(1, S)  # of z given x_0


def guide(x_0, name="z"):
    """The posterior, under which every weight is the likelihood."""
    with plate(x_0):
        numpyro.sample(name, dist.Normal(MEAN * x_0[:, 0], SCALE))


def on_two_axes(x_0=None, num_points=None):
    """Coordinates in a plate of their own, so that the data's is the second from the right."""
    with plate(x_0, num_points, dim=-2), numpyro.plate("coordinates", 1, dim=-1):
        return numpyro.sample("x_0", dist.Normal(numpyro.sample("z", STANDARD), S), obs=x_0)


def guide_on_two_axes(x_0):
    with plate(x_0, dim=-2), numpyro.plate("coordinates", 1, dim=-1):
        numpyro.sample("z", dist.Normal(MEAN * x_0, SCALE))


def of_three(x_0=None, num_points=None):
    """z as the mean of three parts of each datum, in a plate to the left of the data's."""
    with plate(x_0, num_points, dim=-1):
        with numpyro.plate("parts", 3, dim=-2):
            parts = numpyro.sample("parts_of_z", dist.Normal(0.0, 3**0.5))
        return observe(parts.mean(axis=0), x_0)


def guide_of_three(x_0):
    with plate(x_0, dim=-1), numpyro.plate("parts", 3, dim=-2):
        numpyro.sample("parts_of_z", dist.Normal(0.0, 3**0.5))


def walk(x_0, num_points=None):
    """z as the end of two steps of a random walk."""
    num_points = num_points if x_0 is None else len(x_0)

    def step(z, t):
        with numpyro.plate("data", num_points):
            z = numpyro.sample("walk", dist.Normal(z, 0.5**0.5))
        return z, None

    return scan(step, jnp.zeros(num_points), jnp.arange(2))[0]


def at_the_end(x_0=None, num_points=None):
    last = walk(x_0, num_points)
    with plate(x_0, num_points):
        return observe(last, x_0)


def by_change_of_variables(x_0):
    with plate(x_0):
        noise = numpyro.sample("noise", STANDARD, infer=AUXILIARY)
        numpyro.sample("z", dist.Delta(MEAN * x_0[:, 0] + SCALE * noise, log_density=-jnp.log(SCALE)))


def with_reverse_model(x_0=None, num_points=None):
    """An auxiliary site of the guide, for which the model has a law too."""
    with plate(x_0, num_points):
        z = numpyro.sample("z", STANDARD)
        x_0 = observe(z, x_0)
        numpyro.sample("noise", dist.Normal(z + x_0[:, 0], 1.0))
    return x_0


def of_reverse_model(x_0):
    with plate(x_0):
        noise = numpyro.sample("noise", dist.Normal(x_0[:, 0] * (1 + MEAN), np.hypot(SCALE, 1)), infer=AUXILIARY)
        gain = SCALE**2 / (1 + SCALE**2)
        z = MEAN * x_0[:, 0] + gain * (noise - x_0[:, 0] * (1 + MEAN))
        numpyro.sample("z", dist.Normal(z, SCALE * (1 - gain) ** 0.5))


def with_state(x_0=None, num_points=None):
    state = mutable("state", {"loc": jnp.ones(())})
    return model(x_0, num_points, then=lambda z: z + state["loc"])


def noisy(x_0=None, num_points=None):
    """z from noise that is no site."""
    num_points = num_points if x_0 is None else len(x_0)
    z = jax.random.normal(numpyro.prng_key(), (num_points,))
    with numpyro.plate("data", num_points):
        return observe(z, x_0)


def signs(x_0=None, num_points=None):
    with plate(x_0, num_points):
        return observe(2.0 * numpyro.sample("z", dist.Bernoulli(0.3), infer={"enumerate": "parallel"}) - 1.0, x_0)


def guide_of_signs(x_0):
    with plate(x_0):
        numpyro.sample("z", dist.Bernoulli(logits=np.log(0.3 / 0.7) + 2 * x_0[:, 0] / S**2))


def wide(x_0):
    """A guide that draws negative values too, where an exponential prior has none."""
    with plate(x_0):
        numpyro.sample("z", dist.Normal(x_0[:, 0], 1.0))


def of_two_signs(x):
    return np.logaddexp(np.log(0.3) + norm.logpdf(x, 1, S), np.log(0.7) + norm.logpdf(x, -1, S))


class Shape(NamedTuple):
    """A model, a guide, log p(x_0), and whether every weight is the likelihood or only their mean is."""

    model: Callable
    guide: Callable
    log_p: Callable = partial(norm.logpdf, scale=np.hypot(1, S))
    is_best: bool = True
    params: dict | None = None


SHAPES = {
    "as it is": Shape(model, guide),
    "deterministic site": Shape(partial(model, then=lambda z: numpyro.deterministic("same", z)), guide),
    "location and scale apart": Shape(
        handlers.reparam(model, config={"z": LocScaleReparam(centered=0)}), partial(guide, name="z_decentered")
    ),
    "transform apart": Shape(
        handlers.reparam(
            partial(model, prior=dist.TransformedDistribution(STANDARD, AffineTransform(0.0, 1.0))),
            config={"z": TransformReparam()},
        ),
        partial(guide, name="z_base"),
    ),
    "on two axes": Shape(on_two_axes, guide_on_two_axes),
    "nested plates": Shape(of_three, guide_of_three, is_best=False),
    "scan": Shape(at_the_end, walk, is_best=False),
    "change of variables": Shape(model, by_change_of_variables),
    "auxiliary site with a reverse model": Shape(with_reverse_model, of_reverse_model),
    "state": Shape(with_state, guide, params={"state": {"loc": jnp.zeros(())}}),
    "noise that is no site": Shape(noisy, lambda x_0: None, is_best=False),
    "discrete": Shape(signs, guide_of_signs, of_two_signs),
    "wider guide": Shape(
        partial(model, prior=dist.Exponential(1.0)), wide, partial(exponnorm.logpdf, K=1 / S, scale=S), is_best=False
    ),
    "intervention": Shape(
        handlers.do(model, {"z": jnp.array(0.3)}), from_prior, partial(norm.logpdf, loc=0.3, scale=S)
    ),
    "mask of all": Shape(handlers.mask(model, mask=True), guide),
}


@pytest.mark.parametrize("name", SHAPES)
def test_weights_are_those_of_the_likelihood(name):
    shape = SHAPES[name]
    program = Program(shape.model, shape.guide, event_shape=(1,), params=shape.params or {})
    program.check_data(X_0)
    x_0 = X_0 if shape.is_best else np.tile(X_0, (100, 1))
    log_weight, log_p = np.asarray(log_weights(program, x_0, KEY, None), float), shape.log_p(x_0[:, 0].astype(float))
    if shape.is_best:
        np.testing.assert_allclose(log_weight, log_p, rtol=1e-4, atol=1e-4)
    else:
        assert_within(np.exp(log_weight - log_p).reshape(100, -1).mean(axis=1), 1)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "change of variables"])
def test_weights_behind_simulated_data_bound_the_likelihood_from_above(name):
    """E log w >= log p(x_0) for what made x_0, as E 1/w = 1 / p(x_0); under the best guide every w is p(x_0)."""
    shape = SHAPES[name]
    program = Program(shape.model, shape.guide, event_shape=(1,), params=shape.params or {})
    x_0, log_weight = (np.asarray(part, float) for part in program.simulate(KEY, 2000))
    above = log_weight - shape.log_p(x_0[:, 0])
    if shape.is_best:
        np.testing.assert_allclose(above, 0, atol=1e-4)
    else:
        assert above.mean() > 4 * above.std() / np.sqrt(2000)


def test_what_was_auxiliary_behind_simulated_data_is_not_known():
    program = Program(model, by_change_of_variables, event_shape=(1,))
    with pytest.raises(dpm.InputError, match=r"guide: .* got site 'noise'"):
        dpm.sandwich(program, KEY, 3, 4)
