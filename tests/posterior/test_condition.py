"""What `condition` makes of likelihoods as modellers write them, of units, and of input that does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from dpm_ppl.posterior import MCMC, SMC, Gibbs, Paper, Twist, condition, condition_each
from dpm_ppl.posterior.by_coordinate import flipped, noisy_coordinates
from dpm_ppl.posterior.methods.mcmc import advice
from dpm_ppl.posterior.observations import AnyLikelihood, Levels, NormalCoordinates, NormalLinear
from dpm_ppl.posterior.recognition import recognised
from tests.instances import small
from tests.posterior.test_conjugate import correlated, law_of_linear

KEY = jax.random.key(0)
REAL = small(dpm.GaussianKernel(), dpm.Erasure(4, beta_1=0.01), (3,))
BITS = small(dpm.BernoulliKernel(), dpm.Erasure(4), (3,))
MATRIX = jnp.array([[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]])


def as_model(x_0):
    numpyro.sample("y", dist.Normal(MATRIX @ x_0, 0.5))


def with_a_value(x_0):
    numpyro.sample("y", dist.Normal(x_0, 0.5), obs=7.0)


def scaled(x_0):
    with numpyro.handlers.scale(scale=10.0):
        numpyro.sample("y", dist.Normal(x_0, 0.5))


@pytest.mark.parametrize(
    ("diffusion", "likelihood", "observed", "kind"),
    [
        (REAL, lambda x_0: dist.Normal(x_0, 0.3), jnp.ones(3), NormalCoordinates),
        (REAL, lambda x_0: dist.Normal(2 * x_0[1], 0.3), jnp.array(1.0), NormalCoordinates),
        (REAL, lambda x_0: dist.Normal(x_0, 0.3).to_event(1), jnp.ones(3), NormalCoordinates),
        (REAL, lambda x_0: dist.Normal(MATRIX @ x_0 + 1.0, 0.3), jnp.ones(2), NormalLinear),
        (REAL, lambda x_0: dist.Normal(x_0[:1].repeat(2), 0.3), jnp.ones(2), NormalLinear),
        (REAL, as_model, jnp.ones(2), NormalLinear),
        (REAL, lambda x_0: dist.Normal(x_0**2, 0.3), jnp.ones(3), AnyLikelihood),
        (REAL, lambda x_0: dist.Normal(x_0, jnp.exp(x_0)), jnp.ones(3), AnyLikelihood),
        (REAL, lambda x_0: dist.Bernoulli(logits=x_0), jnp.ones(3, int), AnyLikelihood),
        (BITS, lambda x_0: dist.Bernoulli(0.1 + 0.8 * x_0), jnp.array([0, 1, 1]), Levels),
        (BITS, lambda x_0: dist.Normal(x_0.sum(), 1.0), jnp.array(2.0), AnyLikelihood),
    ],
)
def test_likelihoods_are_recognised_and_stay_what_they_are(diffusion, likelihood, observed, kind):
    found = recognised(diffusion, likelihood, observed)
    assert type(found) is kind
    x_0 = diffusion.stationary().sample(jax.random.key(3), (5,))
    law = dist.Normal(x_0 @ MATRIX.T, 0.5) if likelihood is as_model else jax.vmap(likelihood)(x_0.astype(float))
    log_prob = law.log_prob(observed)
    log_prob = log_prob if log_prob.ndim == 1 else log_prob.sum(axis=tuple(range(1, log_prob.ndim)))
    assert np.allclose(found.log_prob(x_0) + found.log_det, log_prob, atol=1e-4)


@pytest.mark.parametrize("known", [False, True])
def test_units_are_those_of_the_data(known):
    """The same question asked in other units: draws and evidence change as a change of variables says."""
    units = dpm.Dataset.from_continuous(np.random.default_rng(0).normal(5.0, 3.0, (50, 2)), per_coordinate=True).units
    diffusion = correlated(8)
    if known:
        plain = condition(diffusion, None, np.array([0.5, np.nan]), key=KEY, method=SMC(64))
        there = np.array([0.5 * units.scale[0] + units.shift[0], np.nan])
        scaled = condition(diffusion, None, there, key=KEY, method=SMC(64), units=units)
    else:
        plain = condition(diffusion, lambda x: dist.Normal(x[0], 0.2), jnp.array(0.5), key=KEY, method=SMC(64))
        there, sigma = 0.5 * units.scale[0] + units.shift[0], 0.2 * units.scale[0]
        law = lambda x: dist.Normal(x[0], sigma)  # noqa: E731
        scaled = condition(diffusion, law, jnp.array(there), key=KEY, method=SMC(64), units=units)
    assert np.allclose(scaled.draws, units.unstandardise(plain.draws), atol=2e-3)
    assert np.isclose(scaled.log_evidence.mean, plain.log_evidence.mean - np.log(units.scale[0]), atol=1e-3)


@pytest.mark.parametrize(
    ("likelihood", "observed", "method", "expected"),
    [
        (None, np.zeros(2), None, "observed: expected shape (3,), NaN where nothing was observed, got shape (2,)"),
        (
            None,
            np.full(3, np.nan),
            None,
            "observed: expected some coordinates observed and some not, got none",
        ),
        (None, np.zeros(3), None, "got all observed: nothing is left to infer"),
        (
            lambda x_0: dist.Normal(x_0, 1.0),
            np.zeros(2),
            None,
            "observed: expected shape (3,), as the likelihood",
        ),
        (lambda x_0: dist.Normal(x_0, 1.0), np.full(3, np.nan), None, "observed: expected finite numbers, got NaN"),
        (lambda x_0: dist.Normal(x_0, 1e-25), np.ones(3), None, "likelihood: expected a finite log-density"),
        (lambda x_0: x_0, np.zeros(3), None, "likelihood: expected a function from x_0 to a NumPyro distribution"),
        (
            None,
            np.array([0.0, 0.0, np.nan]),
            MCMC(),
            "method: expected for NUTS, real data and an observation",
        ),
        (None, np.array([0.0, 0.0, np.nan]), SMC(8, proposal=Paper()), "proposal: expected one that has weights"),
        (None, np.array([0.0, np.inf, np.nan]), None, "observed: expected finite values"),
        (None, None, None, "observed: expected real numbers"),
        (lambda x_0: dist.Normal(x_0, 1.0), "abc", None, "observed: expected real numbers"),
        ("normal", np.zeros(3), None, "likelihood: expected a function from x_0 to a NumPyro distribution"),
        (
            dist.Normal(0.0, 1.0),
            np.zeros(3),
            None,
            "likelihood: expected a function from x_0 to a NumPyro distribution",
        ),
        (
            with_a_value,
            np.zeros(3),
            None,
            "likelihood: expected a model that leaves open what was observed",
        ),
        (scaled, np.zeros(3), None, "likelihood: expected a model whose log-density is not scaled, got a site 'y'"),
        (None, np.array([0.0, 0.0, np.nan]), "smc", "method: expected a way to condition, got 'smc'"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_computed(likelihood, observed, method, expected, unchecked):
    with pytest.raises(dpm.InputError) as raised:
        condition(REAL, likelihood, observed, key=KEY, method=method)
    assert expected in str(raised.value)


def test_what_is_traced_and_what_is_no_sequence_is_refused(unchecked):
    def asked(y):
        return condition(REAL, lambda x_0: dist.Normal(x_0, 1.0), y, key=KEY).draws

    def of_sigma(sigma):
        return condition(REAL, lambda x_0: dist.Normal(x_0, sigma), jnp.zeros(3), key=KEY).draws.sum()

    for ask in (lambda: jax.jit(asked)(jnp.zeros(3)), lambda: jax.grad(of_sigma)(1.0)):
        with pytest.raises(dpm.InputError, match="got traced ones"):
            ask()
    with pytest.raises(dpm.InputError, match="observed: expected at least one observation, got 1"):
        condition_each(REAL, lambda x_0: dist.Normal(x_0, 1.0), 1.0, key=KEY)
    with pytest.raises(dpm.InputError, match="done: expected a dict or the like"):
        condition_each(REAL, lambda x_0: dist.Normal(x_0, 1.0), np.zeros((1, 3)), key=KEY, done=[])
    with pytest.raises(dpm.InputError, match="units: expected those of the data"):
        condition(REAL, None, np.array([0.0, 0.0, np.nan]), key=KEY, units=2.0)


def test_sizes_are_checked(unchecked):
    sizes = (lambda: SMC(1), lambda: Gibbs(num_sweeps=0), lambda: Twist(1.5))
    for make in (*sizes, lambda: Twist(covariance="none"), lambda: SMC(threshold=2.0), lambda: MCMC(target_accept=1.0)):
        with pytest.raises(dpm.InputError):
            make()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ((1.0, 5000.0, 3), "3 divergences: raise target_accept; or"),
        ((1.05, 5000.0, 0), "R-hat 1.050, 5,000 effective draws, 0 divergences: raise num_warmup; or"),
        ((np.nan, 20.0, 0), "raise num_warmup, raise num_samples; or"),
    ],
)
def test_chains_that_are_not_reliable_say_what_to_change(found, says):
    assert says in advice(*found)
    assert "SMC" in advice(*found)


@pytest.mark.parametrize(("num_runs", "says"), [(1, "or num_runs to 4"), (4, "4 runs do not agree")])
def test_collapse_is_said_loudly(num_runs, says):
    """An observation far from all that the chain makes, of which few particles have an idea."""
    method = SMC(32, num_runs=num_runs)
    found = condition(REAL, lambda x_0: dist.Normal(x_0**2, 1e-3), jnp.full(3, 9.0), key=KEY, method=method)
    assert found.verdict == "unusable"
    assert says in str(found)


def test_a_few_particles_that_all_live_on_are_told_from_lost_ones():
    found = condition(correlated(8), lambda x: dist.Normal(x[0], 0.2), jnp.array(1.0), key=KEY, method=SMC(64))
    assert found.notices == ("too few effective draws of 64 particles: raise num_particles",)


def test_draws_by_weight():
    found = condition(correlated(8), lambda x: dist.Normal(x[0], 0.2), jnp.array(1.0), key=KEY, method=SMC(500))
    drawn = found.resampled(jax.random.key(1), 1200)
    assert drawn.shape == (1200, 2)
    assert np.abs(drawn.mean(axis=0) - found.mean()).max() < 4 * found.std().max() / np.sqrt(found.ess)
    assert abs(found.weights.sum() - 1) < 1e-5


@pytest.mark.parametrize(
    ("likelihood", "observed"),
    [
        (lambda x_0: dist.Normal(x_0[::-1] + 1, 0.3), jnp.array([0.1, 0.2, 0.3])),
        (as_model, jnp.array([1.0, -1.0])),
        (lambda x_0: dist.Normal(x_0**2, 0.3), jnp.ones(3)),
        (lambda x_0: dist.MultivariateNormal(x_0, 0.2 * jnp.eye(3)), jnp.ones(3)),
    ],
)
def test_log_likelihoods_are_those_of_numpyro(likelihood, observed):
    """In the units of the data, for each measurement or, where it has no factors, for all."""
    units = dpm.Dataset.from_continuous(np.random.default_rng(0).normal(5.0, 3.0, (50, 3)), per_coordinate=True).units
    found = condition(REAL, likelihood, observed, key=KEY, method=SMC(16), units=units)

    def model(observed):
        x_0 = numpyro.sample("x_0", dist.Normal(jnp.zeros(3), 1).to_event(1))
        law = dist.Normal(MATRIX @ x_0, 0.5) if likelihood is as_model else likelihood(x_0)
        numpyro.sample("y", law, obs=observed)

    given = {"x_0": jnp.asarray(found.draws, dtype=float)}
    expected = numpyro.infer.log_likelihood(model, given, observed)["y"]
    assert found.log_likelihood.shape == expected.shape
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-3, atol=1e-3)


def test_of_what_was_not_observed_there_is_no_log_likelihood():
    assert condition(REAL, None, np.array([0.0, 0.0, np.nan]), key=KEY, method=SMC(8)).log_likelihood is None
    units = dpm.Dataset.from_continuous(np.random.default_rng(0).normal(5.0, 3.0, (50, 3)), per_coordinate=True).units
    observed = np.array([4.0, np.nan, 6.0])
    seen = noisy_coordinates(observed, 0.5, units)
    found = condition(REAL, seen, observed, key=KEY, method=SMC(8), units=units)
    expected = dist.Normal(jnp.asarray(found.draws, dtype=float), 0.5).log_prob(np.nan_to_num(observed))
    expected = np.where(np.isnan(observed), np.nan, expected)
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-3, atol=1e-3)
    bits = flipped(np.array([1.0, np.nan, 0.0]), 0.1, 2)
    found = condition(BITS, bits, np.array([1.0, np.nan, 0.0]), key=KEY, method=SMC(8))
    np.testing.assert_allclose(found.log_likelihood[:, 0], np.log(np.where(found.draws[:, 0] > 0, 0.9, 0.1)), rtol=1e-5)
    assert np.isnan(found.log_likelihood[:, 1]).all()


@pytest.mark.parametrize("size", [6, 10])
def test_bits_that_act_together_are_no_product(size):
    """All of them at once, which no few draws of the noise see."""
    bits = small(dpm.BernoulliKernel(), dpm.Erasure(4), (size,))
    for law in (lambda x_0: dist.Bernoulli(0.01 + 0.98 * x_0.prod()), lambda x_0: dist.Bernoulli(0.9 * x_0.max())):
        assert type(recognised(bits, law, jnp.array(1))) is AnyLikelihood


def test_a_detector_that_saturates_is_not_linear():
    for size in (1, 3):
        diffusion = small(dpm.GaussianKernel(), dpm.Erasure(4, beta_1=0.01), (size,))
        found = recognised(diffusion, lambda x_0: dist.Normal(jnp.minimum(x_0[0], 4.0), 0.1), jnp.array(1.0))
        assert type(found) is AnyLikelihood
        sharp = recognised(diffusion, lambda x_0: dist.Normal(1e4 * x_0[0] + 300.0, 1e-2), jnp.array(1.0))
        assert type(sharp) is NormalCoordinates


@pytest.mark.parametrize("sigma", [1e-4, 1e-2])
@pytest.mark.parametrize("matrix", [np.eye(2)[[0, 0]], np.random.default_rng(0).normal(size=(5, 2))])
def test_measurements_that_say_nearly_the_same(matrix, sigma):
    """Their covariances are singular to float32; the posterior and the evidence are not."""
    diffusion, rng = correlated(), np.random.default_rng(1)
    mean, covariance = law_of_linear(diffusion)
    y = matrix @ np.array([0.5, -0.2]) + sigma * rng.normal(size=len(matrix))
    found = condition(diffusion, lambda x_0: dist.Normal(matrix @ x_0, sigma), jnp.asarray(y), key=KEY, method=SMC(256))
    noise, apart = sigma**2 * np.eye(len(matrix)), y - matrix @ mean
    of_y = matrix @ covariance @ matrix.T + noise
    exact = -0.5 * (apart @ np.linalg.solve(of_y, apart) + np.linalg.slogdet(2 * np.pi * of_y)[1])
    assert abs(found.log_evidence.mean - exact) < 0.02  # y itself is rounded, by a thousandth of the noise
    left = np.linalg.inv(np.linalg.inv(covariance) + matrix.T @ matrix / sigma**2)
    expected = mean + left @ matrix.T @ apart / sigma**2
    assert (np.abs(found.mean() - expected) < 4 * np.sqrt(np.diag(left) / 256) + 1e-5).all()


def test_draws_that_are_no_numbers_are_of_no_use(monkeypatch):
    def broken(self, diffusion, observation, key):
        found = draw(self, diffusion, observation, key)
        return found._replace(draws=found.draws * np.nan)

    draw = SMC.draw
    monkeypatch.setattr(SMC, "draw", broken)
    found = condition(correlated(8), lambda x: dist.Normal(x[0], 0.2), jnp.array(1.0), key=KEY, method=SMC(200))
    assert found.verdict == "unusable"
    assert "some draws are not finite" in str(found)
