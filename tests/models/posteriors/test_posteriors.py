"""The zoo of posteriors: evidences by quadrature, exact draws, and models that agree with both."""

import functools
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer import init_to_uniform
from numpyro.infer.autoguide import AutoIAFNormal, AutoMultivariateNormal
from scipy import stats

from dpm_ppl._common.errors import InputError
from dpm_ppl.guides import FitSettings, evidence, fit_guide
from dpm_ppl.models.posteriors import ENTRIES, POSTERIORS
from tests.instances import instance
from tests.models.posteriors import quadrature

KEY, NUM = jax.random.key(0), 4000


def drawn(target, key, num):
    assert target.draw is not None
    return target.draw(key, num)


@eqx.filter_jit
def latents_and_density(model, args):
    """The latents of a model, from around the middle of their supports, and its log-density there."""
    placed = handlers.substitute(handlers.seed(model, KEY), substitute_fn=init_to_uniform)
    trace = handlers.trace(placed).get_trace(*args)
    sites = {name: site for name, site in trace.items() if site["type"] == "sample"}
    latents = {name: site["value"] for name, site in sites.items() if not site["is_observed"]}
    return latents, sum(jnp.sum(site["fn"].log_prob(site["value"])) for site in sites.values())


@pytest.mark.parametrize("name", POSTERIORS)
def test_every_posterior_is_declared(name):
    target = POSTERIORS[name]()
    latents, log_p = latents_and_density(target.model, target.args)
    size = sum(np.size(value) for value in latents.values())
    about = ENTRIES[name].about
    assert f"{size} dimensions" in about or not any(word.startswith("dimension") for word in about.split())
    assert np.isfinite(log_p)
    assert target.name == name
    assert target.obtained
    assert np.isfinite(target.log_evidence.mean)
    assert (target.log_evidence.se == 0) == ("bridge" not in target.obtained)


eight_schools = functools.cache(quadrature.eight_schools)
QUADRATURES = {
    "ring": (quadrature.ring, 1e-9),
    "eight_schools": (eight_schools, 1e-4),
    "eight_schools_centred": (eight_schools, 1e-4),
    "garch": (lambda: quadrature.garch_evidence((11, 50, 24, 16)), 1e-3),
    "seeds": (lambda: quadrature.seeds_evidence(30, 5, 9), 1e-4),
}


@pytest.mark.parametrize("name", [instance(name, quick=name != "seeds") for name in QUADRATURES])
def test_the_evidence_is_that_of_quadrature(name):
    integrate, tolerance = QUADRATURES[name]
    assert POSTERIORS[name]().log_evidence.mean == pytest.approx(integrate(), abs=tolerance)


def narrow_funnel():
    v = numpyro.sample("v", dist.Normal(0.0, 2.5))
    numpyro.sample("x", dist.Normal(0.0, 0.8 * jnp.exp(v / 2)).expand([9]).to_event(1))


def first_mode():
    numpyro.sample("z", dist.Normal(-3.0, 0.4).expand([2]).to_event(1))


def second_mode():
    numpyro.sample("z", dist.Normal(3.0, 0.4).expand([2]).to_event(1))


def part_of_the_ring(y):
    numpyro.sample("w", dist.Normal(jnp.array([0.0, 2.0]), jnp.array([0.4, 0.1])).to_event(1))


@pytest.mark.parametrize(
    ("name", "guide"),
    [
        instance("funnel", narrow_funnel, quick=True),
        instance("two_modes", first_mode, quick=True),
        instance("two_modes", second_mode, quick=False),
        instance("ring", part_of_the_ring, quick=True),
    ],
)
def test_exact_draws_are_those_of_the_model(name, guide):
    """Under the posterior the density of any law over that of the model averages to 1 / Z, be it of a part alone."""
    target = POSTERIORS[name]()
    draws = drawn(target, jax.random.key(1), NUM)
    found = evidence(target.model, guide, {}, *target.args, key=KEY, num_particles=300, reference=draws)
    inverse = np.exp(target.log_evidence.mean - found.forward.log_weights)
    assert abs(inverse.mean() - 1) < 4 * inverse.std() / np.sqrt(NUM)


def test_draws_of_the_funnel_have_its_moments():
    draws = drawn(POSTERIORS["funnel"](), KEY, NUM)
    scaled = draws["x"] / np.exp(draws["v"] / 2)[:, None]
    assert stats.kstest(draws["v"], stats.norm(scale=3).cdf).pvalue > 1e-3
    assert stats.kstest(scaled.ravel(), stats.norm.cdf).pvalue > 1e-3


FITTED = {
    "eight_schools": (AutoIAFNormal, 2000, 0.1),
    "garch": (AutoMultivariateNormal, 8000, 0.1),
    "breast_cancer": (AutoMultivariateNormal, 8000, 0.1),
    "gaussian_process": (AutoIAFNormal, 8000, 0.3),
    "cox_process": (AutoMultivariateNormal, 8000, 0.3),
    "seeds": (AutoIAFNormal, 8000, 0.1),
}
"""A guide, its updates, and the largest error of the log evidence that its weights may have."""


@pytest.mark.parametrize("name", [instance(name, quick=name == "eight_schools") for name in FITTED])
def test_importance_weights_of_the_model_average_to_the_evidence(name):
    """A second road, through NumPyro's model, to what quadrature and bridge sampling say."""
    target, (guide, num_updates, most_error) = POSTERIORS[name](), FITTED[name]
    args = jax.tree.map(jnp.asarray, target.args)
    settings = FitSettings(num_updates=num_updates, num_particles=8, num_evaluations=2, progress=False)
    fitted = fit_guide(guide(target.model), KEY, *args, settings=settings)
    found = evidence(target.model, fitted.guide, fitted.params, *args, key=jax.random.key(1), num_particles=20_000)
    error = np.hypot(found.log_evidence.se, target.log_evidence.se)
    assert error < most_error
    assert abs(found.log_evidence.mean - target.log_evidence.mean) < 4 * error
    assert found.elbo.mean < target.log_evidence.mean + 3 * found.elbo.se


def test_a_grid_of_the_cox_process_counts_the_same_points():
    counts = {grid: POSTERIORS["cox_process"](grid=grid).args[1].reshape(grid, grid) for grid in (4, 8)}
    np.testing.assert_array_equal(counts[8].reshape(4, 2, 4, 2).sum(axis=(1, 3)), counts[4])
    assert POSTERIORS["cox_process"](grid=4).log_evidence is None
    with pytest.raises(InputError, match="a divisor of 32"):
        POSTERIORS["cox_process"](grid=5)


def test_the_list_imports_nothing_that_takes_time():
    program = "import sys, dpm_ppl.models.posteriors; print('jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False"]
