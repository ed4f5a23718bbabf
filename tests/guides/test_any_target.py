"""Targets of many dimensions, scales and supports.

The bound of a fitted guide is finite, below the evidence and not below that of its base.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.autoguide import AutoIAFNormal, AutoMultivariateNormal, AutoNormal

from dpm_ppl.guides import AutoDiffusion, Exchanged, FitSettings, evidence, fit_guide
from dpm_ppl.guides.fitting import SMALLEST_FALL

KEY = jax.random.key(0)
SETTINGS = FitSettings(num_updates=400, num_base_updates=1500, progress=False)


class Target(NamedTuple):
    """A model whose log evidence is zero, as it is a prior that sees no data, and the base that it is given."""

    model: Callable[[], None]
    base: type = AutoNormal


def walk():
    """A hundred dimensions, each close to the one before."""
    steps = numpyro.sample("steps", dist.Normal(0.0, 0.3).expand([100]).to_event(1))
    numpyro.deterministic("path", jnp.cumsum(steps))


def dependent():
    """A hundred dimensions of which all but the first are led by the first."""
    first = numpyro.sample("first", dist.Normal(0.0, 1.0))
    numpyro.sample("others", dist.Normal(0.9 * first, 0.3).expand([99]).to_event(1))


def scales():
    """Deviations from a thousandth to a thousand."""
    numpyro.sample("z", dist.Normal(0.0, 10.0 ** jnp.arange(-3.0, 4.0)).to_event(1))


def positive():
    rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
    numpyro.sample("scales", dist.HalfCauchy(rate).expand([3]).to_event(1))


def interval():
    low = numpyro.sample("low", dist.Uniform(-1e3, 1e3))
    numpyro.sample("share", dist.Beta(0.5, 0.5))
    numpyro.sample("short", dist.TruncatedNormal(low * 1e-6, 1e-3, low=-2e-3, high=2e-3))


def simplex():
    numpyro.sample("shares", dist.Dirichlet(jnp.asarray([0.5, 1.0, 2.0, 4.0, 8.0])))


def correlations():
    numpyro.sample("L", dist.LKJCholesky(4, 1.5))


def ordered():
    numpyro.sample(
        "z", dist.TransformedDistribution(dist.Normal(jnp.zeros(4), 1.0), dist.transforms.OrderedTransform())
    )


def heavy_tails():
    numpyro.sample("z", dist.StudentT(1.5).expand([5]).to_event(1))


TARGETS = {
    "a hundred dimensions": Target(walk),
    "a hundred dependent dimensions": Target(dependent, AutoMultivariateNormal),
    "scales": Target(scales),
    "scales, flow": Target(scales, AutoIAFNormal),
    "positive": Target(positive),
    "interval": Target(interval),
    "simplex": Target(simplex, AutoMultivariateNormal),
    "correlations": Target(correlations, AutoIAFNormal),
    "ordered": Target(ordered),
    "heavy tails": Target(heavy_tails),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore:.*what is returned is the base guide itself")
def test_a_fitted_guide_is_finite_below_the_evidence_and_not_below_its_base(name):
    model, base = TARGETS[name]
    chains = {"chains": Exchanged} if name == "simplex" else {}
    fitted = fit_guide(AutoDiffusion(model, base, **chains), KEY, settings=SETTINGS)
    assert np.isfinite(fitted.elbo.mean)
    assert fitted.elbo.mean < 3 * fitted.elbo.se
    assert fitted.gain.mean >= -(3 * fitted.gain.se + SMALLEST_FALL)
    draws = fitted.sample(jax.random.key(1), 2000)
    assert all(bool(jnp.isfinite(values).all()) for values in draws.values())
    found = evidence(model, fitted.guide, fitted.params, key=jax.random.key(2), num_particles=4096)
    assert np.isfinite(found.log_evidence.mean)
    assert abs(found.elbo.mean - fitted.elbo.mean) < 4 * np.hypot(found.elbo.se, fitted.elbo.se)
