"""A program whose likelihood is known: z ~ N(0, 1), x | z ~ N(z, s^2), so x ~ N(0, 1 + s^2)."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro.infer import SVI, Trace_ELBO
from scipy.stats import norm

import dpm_ppl as dpm
from dpm_ppl.evaluation import measure
from dpm_ppl.likelihood import FromGuide, estimator
from dpm_ppl.methods.base import log_weights
from dpm_ppl.methods.program import Program

KEY = jax.random.key(0)
NOISE = 0.5
X_0 = np.random.default_rng(0).normal(scale=np.hypot(1, NOISE), size=(300, 1)).astype(np.float32)
EXACT = norm.logpdf(X_0[:, 0], scale=np.hypot(1, NOISE))
BEST = {"slope": 1 / (1 + NOISE**2), "scale": NOISE / np.hypot(1, NOISE)}


def model(x_0=None, num_points=None):
    with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
        z = numpyro.sample("z", dist.Normal())
        return numpyro.sample("x_0", dist.Normal(z[..., None], NOISE).to_event(1), obs=x_0)


def guide(x_0):
    slope = numpyro.param("slope", 0.0)
    scale = numpyro.param("scale", 1.0, constraint=dist.constraints.positive)
    with numpyro.plate("data", len(x_0)):
        numpyro.sample("z", dist.Normal(slope * x_0[:, 0], scale))


def density(x_0=None, num_points=None):
    with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
        return numpyro.sample("x_0", dist.Normal(0, np.hypot(1, NOISE)).expand([1]).to_event(1), obs=x_0)


def program(**params):
    return Program(model, guide, event_shape=(1,), params=params)


def exactly(z):
    return norm.logpdf(z[:, 0], scale=np.hypot(1, NOISE))


@pytest.mark.parametrize("scored", [program(**BEST), Program(density, event_shape=(1,))], ids=["best guide", "density"])
def test_where_nothing_is_lost_every_weight_is_the_likelihood(scored):
    result = dpm.log_likelihood(scored, X_0, KEY, 256)
    np.testing.assert_allclose(log_weights(scored, X_0, KEY), EXACT, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.log_likelihood, EXACT, rtol=1e-5, atol=1e-5)
    assert set(result.verdict) == {"reliable"}


def test_weights_average_to_the_likelihood():
    result = dpm.log_likelihood(program(slope=0.7, scale=0.5), X_0, KEY, 1024)
    z_scores = (result.log_likelihood - EXACT) / result.se
    assert np.abs(z_scores).max() < 4.5
    assert abs(z_scores.mean()) < 4 / np.sqrt(len(X_0))


def test_the_mean_weight_is_the_elbo_of_numpyro():
    params = {"slope": 0.5, "scale": 0.6}
    ours = dpm.estimate(log_weights(program(**params), jnp.tile(X_0, (200, 1)), KEY).reshape(200, -1).sum(axis=1))
    theirs = -Trace_ELBO(num_particles=2000).loss(KEY, params, model, guide, X_0)
    assert abs(ours.mean - theirs) < 4 * np.hypot(ours.se, ours.se * np.sqrt(200 / 2000))
    assert ours.mean < EXACT.sum() - 4 * ours.se


def test_it_is_trained_by_fit_and_measured_like_a_diffusion():
    data = dpm.Dataset.from_continuous(X_0 / X_0.std())
    units = data.units
    svi = SVI(model, guide, optax.adam(3e-2), loss=Trace_ELBO(num_particles=4))
    params = dpm.fit(svi, data, num_updates=600, batch_size=100, key=KEY, progress=False).params
    before = measure(program(slope=0.0, scale=1.0), data, KEY, num_particles=64, num_points=100)
    after = measure(program().with_params(params), data, KEY, num_particles=64, num_points=100, exact=exactly)
    gained = dpm.paired_difference(after.scores.K_values, before.scores.K_values)
    assert gained.mean > 4 * gained.se
    assert after.scores.L_null is None
    assert abs(after.importance.ladder[-1].gap.mean) < 4 * after.importance.ladder[-1].gap.se + 1e-3
    assert after.scores.gap.mean > -4 * after.scores.gap.se
    assert (units.num_levels, after.units) == (None, units)
    assert measure(program(**BEST), data, KEY).importance is None


def test_samples_are_those_of_the_model():
    draws = program(**BEST).sample(KEY, 20_000)
    assert draws.shape == (20_000, 1)
    assert abs(np.std(draws) - np.hypot(1, NOISE)) < 4 * np.hypot(1, NOISE) / np.sqrt(2 * 20_000)


def test_particles_are_the_same_in_every_chunk_and_are_extended(tmp_path):
    scored = program(slope=0.7, scale=0.5)
    whole = dpm.log_likelihood(scored, X_0[:20], KEY, 96, particles_chunk=96, data_chunk=20)
    dpm.log_likelihood(scored, X_0[:20], KEY, 32, particles_chunk=32, data_chunk=7, checkpoint=tmp_path / "w.npz")
    longer = dpm.log_likelihood(
        scored, X_0[:20], KEY, 96, particles_chunk=32, data_chunk=7, checkpoint=tmp_path / "w.npz"
    )
    np.testing.assert_allclose(longer.log_likelihood, whole.log_likelihood, rtol=1e-5)
    other = program(slope=0.8, scale=0.5)
    with pytest.raises(dpm.InputError, match="checkpoint"):
        dpm.log_likelihood(other, X_0[:20], KEY, 96, particles_chunk=32, data_chunk=7, checkpoint=tmp_path / "w.npz")


def test_a_second_call_compiles_nothing():
    scored = program(slope=0.7, scale=0.5)
    dpm.log_likelihood(scored, X_0, KEY, 8)
    before = estimator._log_weights._cached._cache_size()
    dpm.log_likelihood(program(slope=0.6, scale=0.4), X_0[1:], KEY, 8)
    assert estimator._log_weights._cached._cache_size() == before


def made(*programs, **params):
    return lambda: Program(*programs, event_shape=(1,), params=params or BEST)


CASES = {
    "misspelt params": (made(model, guide, slop=0.5), X_0, "no value in params for 'slope'"),
    "no params": (lambda: Program(model, guide, event_shape=(1,)), X_0, "values for the param sites"),
    "event shape": (made(model, guide), X_0[:, 0], "event shape \\(1,\\)"),
    "not finite": (made(model, guide), X_0 * np.nan, "finite"),
    "no data": (made(model, guide), X_0[:0], "at least one datum"),
    "no program": (lambda: Program(1, event_shape=(1,)), X_0, "a NumPyro program"),
    "event shape of no shape": (lambda: Program(model, guide, event_shape=1), X_0, "tuple of positive integers"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case, unchecked):
    make, x_0, message = CASES[case]
    with pytest.raises(dpm.InputError, match=message):
        dpm.log_likelihood(make(), x_0, KEY, 4)


@pytest.mark.parametrize(
    ("scored", "proposal"),
    [(program(**BEST), dpm.Trajectories()), (program(**BEST), dpm.SequentialMonteCarlo(4))],
    ids=["trajectories", "smc"],
)
def test_a_proposal_of_another_method(scored, proposal):
    with pytest.raises(dpm.InputError, match="proposal"):
        dpm.log_likelihood(scored, X_0, KEY, 4, proposal=proposal)


def test_a_diffusion_has_no_guide_to_draw_from():
    diffusion = dpm.Diffusion(
        dpm.GaussianKernel(dpm.noise_prediction),
        dpm.LogSNR(4, 6.0, -6.0),
        dpm.TimeMLP((1,), 2, 4, width=4, depth=1, key=KEY),
        (1,),
    )
    with pytest.raises(dpm.InputError, match="proposal"):
        dpm.log_likelihood(diffusion, X_0, KEY, 4, proposal=FromGuide())


@pytest.mark.parametrize(("slope", "scale"), [(BEST["slope"], BEST["scale"]), (0.5, 0.7), (0.0, 1.0)])
def test_the_likelihood_of_simulated_data_lies_within_the_sandwich(slope, scale):
    bounds = dpm.sandwich(program(slope=slope, scale=scale), KEY, 400, 32)
    exact = norm.logpdf(bounds.x_0[:, 0], scale=np.hypot(1, NOISE))
    below, above = dpm.paired_difference(exact, bounds.lower), dpm.paired_difference(bounds.upper, exact)
    assert below.mean > -4 * below.se - 1e-5
    assert above.mean > -4 * above.se - 1e-5
    assert bounds.x_0.std() == pytest.approx(np.hypot(1, NOISE), abs=4 * np.hypot(1, NOISE) / np.sqrt(800))
    # E 1/w over the sites that made a datum is 1 / p(x_0).
    ratio = dpm.estimate(np.exp(exact - bounds.log_weight_exact))
    assert abs(ratio.mean - 1) < 4 * ratio.se + 1e-5


def test_data_in_an_order_of_their_own_are_refused():
    ordered = dpm.Dataset.from_continuous(X_0[np.argsort(np.abs(X_0[:, 0]))])
    with pytest.raises(dpm.InputError, match="data in random order"):
        measure(program(**BEST), ordered, KEY, num_particles=4, num_points=50)
    assert measure(program(**BEST), ordered, KEY, num_particles=4, num_points=300).importance is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": X_0}, r"a Dataset, got ndarray; make one of an array"),
        ({"method": model}, "a Diffusion or a Program"),
        ({"proposal": "nonsense"}, "proposal: expected one of"),
        ({"exact": lambda z: z}, "exact: expected a function that gives shape"),
        ({"data": dpm.Dataset.from_levels(np.tile(np.arange(4)[:, None], (5, 1)), 4)}, "none for data with levels"),
    ],
)
def test_what_measure_cannot_use(change, message, unchecked):
    given = {"method": program(**BEST), "data": dpm.Dataset.from_continuous(X_0), "exact": exactly} | change
    method, data = given.pop("method"), given.pop("data")
    with pytest.raises(dpm.InputError, match=message):
        measure(method, data, KEY, num_particles=4, **given)
