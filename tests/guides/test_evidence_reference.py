"""Bounds from above, from draws of the posterior itself, and what they tell of a guide."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.autoguide import (
    AutoDiagonalNormal,
    AutoGuideList,
    AutoIAFNormal,
    AutoLaplaceApproximation,
    AutoLowRankMultivariateNormal,
    AutoMultivariateNormal,
    AutoNormal,
)
from scipy.stats import dirichlet, norm

from dpm_ppl.guides import evidence
from tests.guides.programs import (
    BEST,
    COUNTS,
    LOG_Z_COUNTS,
    LOG_Z_NORMAL,
    Y,
    at,
    counts,
    exact_draws,
    fitted,
    normal,
    normal_guide,
    one_mode_guide,
    two_modes,
)
from tests.instances import instance

KEY, NUM = jax.random.key(0), 2048  # whole chunks, so that programs are compiled once


def posterior_draws(num, seed=0):
    """Of the normal model."""
    return {"z": BEST["slope"] * Y + BEST["scale"] * np.random.default_rng(seed).normal(size=(num, len(Y)))}


def dirichlet_draws(num, seed=0):
    """Of the model of counts."""
    draws = dirichlet.rvs(COUNTS + np.array([1, 2, 3]), num, np.random.default_rng(seed))
    return {"p": draws / draws.sum(axis=1, keepdims=True)}


def halves(model):
    """One part of the sites to each of two guides."""
    guide = AutoGuideList(model)
    guide.append(AutoNormal(numpyro.handlers.block(model, hide=["b"]), prefix="first"))
    guide.append(AutoMultivariateNormal(numpyro.handlers.block(model, hide=["a"]), prefix="second"))
    return guide


def two_sites(y):
    a = numpyro.sample("a", dist.Normal())
    b = numpyro.sample("b", dist.Normal().expand([2]).to_event(1))
    numpyro.sample("y", dist.Normal(jnp.append(b, a), 0.5).to_event(1), obs=y)


def two_sites_draws(num):
    z = posterior_draws(num)["z"]
    return {"a": z[:, 2], "b": z[:, :2]}


GUIDES = {
    "AutoNormal": (counts, (COUNTS,), AutoNormal, dirichlet_draws, LOG_Z_COUNTS),
    "AutoGuideList": (two_sites, (Y,), halves, two_sites_draws, LOG_Z_NORMAL),
    "AutoMultivariateNormal": (counts, (COUNTS,), AutoMultivariateNormal, dirichlet_draws, LOG_Z_COUNTS),
    "AutoDiagonalNormal": (normal, (Y,), AutoDiagonalNormal, posterior_draws, LOG_Z_NORMAL),
    "AutoLowRank": (normal, (Y,), AutoLowRankMultivariateNormal, posterior_draws, LOG_Z_NORMAL),
    "AutoIAFNormal": (normal, (Y,), AutoIAFNormal, posterior_draws, LOG_Z_NORMAL),
    "AutoLaplace": (counts, (COUNTS,), AutoLaplaceApproximation, dirichlet_draws, LOG_Z_COUNTS),
}


@pytest.mark.parametrize("name", [instance(name, quick=place < 1) for place, name in enumerate(GUIDES)])
def test_exact_draws_bound_the_evidence_from_above(name):
    model, args, build, draws, log_z = GUIDES[name]
    guide = build(model)
    params = fitted(model, guide, args, 500, rate=2e-2)
    found = evidence(model, guide, params, *args, key=KEY, num_particles=NUM, reference=draws(NUM))
    forward = found.forward
    assert found.elbo.mean - 3 * found.elbo.se <= log_z <= forward.eubo.mean + 3 * forward.eubo.se
    assert abs(forward.log_evidence.mean - log_z) < 4 * forward.log_evidence.se + 1e-3
    assert forward.unseen.mean < 0.01
    assert found.notices == ()
    # An identity: under the posterior 1 / w averages to 1 / Z.
    inverse = np.exp(log_z - forward.log_weights)
    assert abs(inverse.mean() - 1) < 4 * inverse.std() / np.sqrt(NUM)


def test_the_density_of_a_program_is_that_at_the_draws():
    draws = posterior_draws(NUM)
    found = evidence(normal, normal_guide, at(0.6, 0.6), Y, key=KEY, num_particles=NUM, reference=draws)
    log_p = norm.logpdf(draws["z"]).sum(axis=1) + norm.logpdf(Y, draws["z"], 0.5).sum(axis=1)
    log_q = norm.logpdf(draws["z"], 0.6 * Y, 0.6).sum(axis=1)
    np.testing.assert_allclose(found.forward.log_weights, log_p - log_q, rtol=1e-4, atol=1e-5)
    gain = np.exp(found.forward.log_weights)
    assert found.forward.ess == pytest.approx(NUM / (gain.mean() * (1 / gain).mean()), rel=1e-4)


def test_a_lost_mode_is_seen_by_the_reference_alone():
    alone = evidence(two_modes, one_mode_guide, {}, key=KEY, num_particles=NUM)
    assert alone.verdict == "reliable"
    assert alone.ess == pytest.approx(NUM, rel=1e-3)
    assert alone.log_evidence.mean == pytest.approx(np.log(0.7), abs=1e-4)  # and the truth is 0
    found = evidence(two_modes, one_mode_guide, {}, key=KEY, num_particles=NUM, reference=exact_draws(NUM))
    assert found.verdict == "unusable"
    assert "a mode or region is missing" in found.notices[0]
    assert found.forward.eubo.mean > 10
    assert found.forward.ess < 1
    assert abs(found.forward.unseen.mean - 0.3) < 4 * np.sqrt(0.3 * 0.7 / NUM)
    assert abs(found.forward.log_evidence.mean) < 4 * found.forward.log_evidence.se
    assert f"{found.forward.unseen.mean:.0%} of the reference draws lie where" in str(found)


def test_a_guide_without_density_at_a_draw_has_an_infinite_upper_bound():
    def half():
        numpyro.sample("z", dist.TruncatedNormal(-3.0, 0.5, high=0.0))

    found = evidence(two_modes, half, {}, key=KEY, num_particles=NUM, reference=exact_draws(NUM))
    assert found.forward.eubo.mean == np.inf
    assert found.forward.ess == 0
    assert abs(found.forward.log_evidence.mean) < 4 * found.forward.log_evidence.se
    assert found.verdict == "unusable"


def test_draws_of_something_else_are_noticed():
    draws = {"z": posterior_draws(NUM)["z"] - 2.0}
    found = evidence(normal, normal_guide, at(0.8, 0.6), Y, key=KEY, num_particles=NUM, reference=draws)
    assert found.verdict == "unusable"
    assert "the reference is not of this posterior" in found.notices[-1]


def test_chains_that_depend_on_their_past_have_larger_errors():
    rng, coefficient = np.random.default_rng(0), 0.95
    chains = np.empty((2, NUM // 2, len(Y)))
    chains[:, 0] = rng.normal(size=(2, len(Y)))
    for i in range(1, NUM // 2):
        noise = rng.normal(size=(2, len(Y)))
        chains[:, i] = coefficient * chains[:, i - 1] + np.sqrt(1 - coefficient**2) * noise
    draws = {"z": BEST["slope"] * Y + BEST["scale"] * chains}
    guide = normal, normal_guide, at(0.6, 0.6), Y
    found = evidence(*guide, key=KEY, num_particles=NUM, reference=draws).forward
    mixed = {"z": rng.permutation(draws["z"].reshape(-1, len(Y)))}
    independent = evidence(*guide, key=KEY, num_particles=NUM, reference=mixed).forward
    assert found.eubo.mean == pytest.approx(independent.eubo.mean, rel=1e-5)
    assert found.eubo.se > 2 * independent.eubo.se


def test_a_guide_may_say_itself_what_a_draw_weighs():
    class Scales:
        """A scale mixture; the law of the scale in the other direction stands in its factor."""

        def __call__(self, y):
            scale = numpyro.sample("scale", dist.LogNormal(-0.8, 0.3), infer={"is_auxiliary": True})
            numpyro.factor("reverse", -dist.LogNormal(-0.7, 0.25).log_prob(scale))
            with numpyro.plate("data", len(y)):
                numpyro.sample("z", dist.Normal(0.8 * y, scale))

        def reference_log_weight(self, key, params, latents, y):
            scale = dist.LogNormal(-0.7, 0.25).sample(key)
            log_p = dist.Normal().log_prob(latents["z"]) + dist.Normal(latents["z"], 0.5).log_prob(y)
            log_q = dist.Normal(0.8 * y, scale).log_prob(latents["z"])
            scales = dist.LogNormal(-0.7, 0.25).log_prob(scale) - dist.LogNormal(-0.8, 0.3).log_prob(scale)
            return jnp.sum(log_p - log_q) + scales

    found = evidence(normal, Scales(), {}, Y, key=KEY, num_particles=NUM, reference=posterior_draws(NUM))
    assert abs(found.log_evidence.mean - LOG_Z_NORMAL) < 3 * found.log_evidence.se
    assert abs(found.forward.log_evidence.mean - LOG_Z_NORMAL) < 3 * found.forward.log_evidence.se
    assert found.elbo.mean < LOG_Z_NORMAL < found.forward.eubo.mean
