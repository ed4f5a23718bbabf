"""The weights of guides: two roads to the same figures, targets whose evidence is known, and what is computed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer import Trace_ELBO, psis_diagnostic
from numpyro.infer.autoguide import AutoLaplaceApproximation, AutoMultivariateNormal, AutoNormal
from scipy.stats import norm

import dpm_ppl as dpm
from dpm_ppl.guides import Evidence, evidence
from dpm_ppl.guides.weighing.pair import Pair
from tests.guides.programs import (
    BEST,
    KNOWN,
    LOG_Z_NORMAL,
    NOISE,
    Y,
    at,
    fitted,
    normal,
    normal_guide,
    one_mode_guide,
    two_modes,
)

KEY, NUM = jax.random.key(0), 4096


@pytest.fixture(scope="module", params=KNOWN)
def case(request):
    known = request.param
    guide = known.guide(known.model)
    params = known.params if known.updates is None else fitted(known.model, guide, known.args, known.updates)
    return known, guide, params, evidence(known.model, guide, params, *known.args, key=KEY, num_particles=NUM)


def test_weights_average_to_the_evidence(case):
    known, *_, found = case
    weights = np.exp(found.log_weights - known.log_z)
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(NUM)
    assert found.elbo.mean <= known.log_z + 3 * found.elbo.se
    assert found.verdict == "reliable"
    assert abs(found.log_evidence.mean - known.log_z) < 3 * found.log_evidence.se + 1e-5


def test_figures_are_those_of_numpyro_on_the_same_draws(case):
    known, guide, params, found = case
    bound = Trace_ELBO(num_particles=NUM)
    elbo = -jax.jit(lambda params: bound.loss(KEY, params, known.model, guide, *known.args))(params)
    np.testing.assert_allclose(found.elbo.mean, elbo, rtol=1e-6)
    if np.ptp(found.log_weights) > 1e-3 and len(np.unique(found.log_weights)) > 100:
        khat = psis_diagnostic(KEY, params, known.model, guide, *known.args, num_particles=NUM)
        assert abs(found.khat - khat) < 0.05


def test_a_particle_is_the_same_in_any_chunks(case):
    known, guide, params, found = case
    few = evidence(known.model, guide, params, *known.args, key=KEY, num_particles=300, particles_chunk=128)
    np.testing.assert_allclose(few.log_weights, found.log_weights[:300], rtol=1e-5, atol=1e-5)
    for name, values in few.draws.items():
        np.testing.assert_allclose(values, found.draws[name][:300], rtol=1e-5, atol=1e-5)


def test_the_posterior_has_equal_weights():
    found = evidence(normal, normal_guide, BEST, Y, key=KEY, num_particles=NUM)
    np.testing.assert_allclose(found.log_weights, LOG_Z_NORMAL, atol=1e-5)
    assert found.verdict == "reliable"
    assert found.ess == pytest.approx(NUM)


def test_a_laplace_guide_has_its_normal_law():
    """Of a normal posterior that is the posterior itself; as a program NumPyro's guide is a point mass."""
    mode = {"auto_loc": jnp.asarray(BEST["slope"] * Y)}
    found = evidence(normal, AutoLaplaceApproximation(normal), mode, Y, key=KEY, num_particles=500)
    np.testing.assert_allclose(found.log_weights, LOG_Z_NORMAL, atol=1e-5)


def test_arguments_that_change_and_params_of_the_model_are_followed():
    def model(y, offset):
        scale = numpyro.param("noise", 1.0)
        with numpyro.plate("data", len(y)):
            z = numpyro.sample("z", numpyro.distributions.Normal(offset, 1.0))
            numpyro.sample("y", numpyro.distributions.Normal(z, scale), obs=y)

    guide = AutoNormal(model)
    params = {"z_auto_loc": jnp.zeros(3), "z_auto_scale": jnp.full(3, 0.5)}
    for offset, noise, y in ((0.0, 1.0, Y), (0.5, 0.8, Y + 0.2)):
        found = evidence(
            model, guide, params | {"noise": jnp.asarray(noise)}, y, jnp.asarray(offset), key=KEY, num_particles=NUM
        )
        exact = norm.logpdf(y, offset, np.hypot(1, noise)).sum()
        assert abs(found.log_evidence.mean - exact) < 4 * found.log_evidence.se


def test_other_numbers_compile_nothing_anew():
    traced = []

    def model(y):
        traced.append(y)
        normal(y)

    guide = AutoMultivariateNormal(model)
    params = {"auto_loc": jnp.zeros(3), "auto_scale_tril": 0.5 * jnp.eye(3)}
    per_call = []
    for shift in range(3):
        before = len(traced)
        moved = {name: value + 0.01 * shift for name, value in params.items()}
        evidence(model, guide, moved, Y + shift, key=jax.random.key(shift), num_particles=300)
        per_call.append(len(traced) - before)
    assert per_call[1] == per_call[2] < per_call[0]  # what is left are the checks, which compute nothing


def test_a_small_budget_gives_the_same_figures():
    wanted = evidence(normal, normal_guide, at(slope=0.7), Y, key=KEY, num_particles=1024)
    with dpm.memory_budget(4_000):
        found = evidence(normal, normal_guide, at(slope=0.7), Y, key=KEY, num_particles=1024)
    np.testing.assert_allclose(found.log_weights, wanted.log_weights, rtol=1e-5)


def test_float64(x64):
    found = evidence(normal, normal_guide, BEST, Y.astype(np.float64), key=KEY, num_particles=300)
    np.testing.assert_allclose(
        found.log_weights, norm.logpdf(np.float64(Y), scale=np.hypot(1, NOISE)).sum(), rtol=1e-12
    )


def test_resampled_draws_are_the_posterior():
    found = evidence(normal, normal_guide, at(0.6, 0.6), Y, key=KEY, num_particles=NUM)
    draws = found.resampled(jax.random.key(5), 2000)["z"]
    spread = BEST["scale"]
    # Independent of one another as far as the effective sample size goes.
    errors = spread / np.sqrt(min(found.ess, 2000))
    np.testing.assert_allclose(draws.mean(axis=0), BEST["slope"] * Y, atol=4 * errors)
    np.testing.assert_allclose(draws.std(axis=0), spread, rtol=4 / np.sqrt(min(found.ess, 2000)))
    again = found.resampled(jax.random.key(5), 2000)["z"]
    np.testing.assert_array_equal(draws, again)
    assert found.resampled(KEY)["z"].shape == (NUM, 3)
    assert found.resampled(KEY, NUM + 1)["z"].shape == (NUM + 1, 3)


def test_few_draws_say_so():
    found = evidence(normal, normal_guide, at(slope=0.7), Y, key=KEY, num_particles=20)
    assert found.verdict == "too few draws"
    assert found.resampled(KEY, 5)["z"].shape == (5, 3)


def test_a_guide_far_off_is_not_reliable():
    found = evidence(normal, normal_guide, at(1.5, 0.1), Y, key=KEY, num_particles=1024)
    assert found.verdict in ("doubtful", "unusable")
    assert "at least" in str(found)


def test_what_is_printed_and_kept():
    found = evidence(two_modes, one_mode_guide, {}, key=KEY, num_particles=300)
    assert isinstance(found, Evidence)
    assert isinstance(found.pair, Pair)
    assert str(found).startswith("ELBO -0.3567 ± < 0.0001, log evidence -0.3567 ± < 0.0001 nats, k-hat ")
    kept = json.loads(json.dumps(found.as_json()))
    assert kept["elbo"]["mean"] == pytest.approx(np.log(0.7), abs=1e-5)
    assert set(kept) == {"elbo", "log_evidence", "khat", "ess", "num_particles", "verdict", "notices"}
