"""The twist of many measurements: covariances that the chain's own paths show, shared by all particles of a step."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.posterior import SMC, Twist, condition
from dpm_ppl.posterior.observations import NormalCoordinates, NormalLinear
from dpm_ppl.posterior.particles import run
from dpm_ppl.posterior.prediction import coordinates, predict
from dpm_ppl.posterior.twists import Average, ByVariance, average, twist_for
from dpm_ppl.posterior.twists.average import Covariances, OfSharedMeasurements, measure_misses
from dpm_ppl.posterior.twists.linear_chain import linear_chain_twist
from dpm_ppl.posterior.twists.remembered import of_the_last_chain
from dpm_ppl.smc import systematic
from tests.posterior.test_conjugate import Linear, law_of_linear

KEY = jax.random.key(0)
SIZE = 6


def chain(num_steps=40):
    """Of six coordinates that hang together, as pixels of one stroke do."""
    apart = jnp.abs(jnp.arange(SIZE)[:, None] - jnp.arange(SIZE))
    kernel, schedule = dpm.GaussianKernel(dpm.noise_prediction), dpm.LogSNR(num_steps, 9.0, -9.0)
    return dpm.Diffusion(kernel, schedule, Linear(0.9**apart, (SIZE,)), (SIZE,))


def observation(variance):
    seen = jnp.arange(SIZE) < 5
    return NormalCoordinates(jnp.linspace(-1.0, 1.5, SIZE), jnp.full(SIZE, variance), seen, (SIZE,))


def test_misses_are_those_of_the_chain_itself():
    """Of a linear chain the law of x_0 given x_t is known, and so is what any other prediction of it misses."""
    diffusion, num = chain(20), 4000
    misses = measure_misses(diffusion, KEY, num)
    whole = NormalLinear(matrix=jnp.eye(SIZE), value=jnp.zeros(SIZE), variance=jnp.zeros(SIZE), event_shape=(SIZE,))
    below = linear_chain_twist(diffusion, whole)
    assert below is not None

    @jax.jit
    def means(step):
        """What the prediction and the reverse law make of unit vectors, and the variances of the latter."""

        def moved(law):
            return jax.vmap(lambda x: law(x[None]).mean[0])(jnp.eye(SIZE)).T

        def reverse(x):
            return coordinates(diffusion.reverse(x, step))

        return moved(lambda x: predict(diffusion, x, step)), moved(reverse), reverse(jnp.zeros((1, SIZE))).scale[0] ** 2

    covariance = jnp.eye(SIZE)  # of x_t, from t = T downwards
    for t in range(20, 1, -1):
        step = jax.tree.map(lambda leaf, t=t: leaf[t - 1], diffusion.steps)
        predicted, slope, variance = means(step)
        off = below.matrix[t - 1] - predicted
        exact = below.covariance[t - 1] + off @ covariance @ off.T
        found, deviation = misses.at(jnp.asarray(t))
        sizes = jnp.diag(exact)
        if t in (20, 10, 3):
            assert (jnp.abs(jnp.diag(found) - sizes) < 4 * sizes * jnp.sqrt(2 / num)).all()
            # Shrinking takes a share of the others away, at least 0.01.
            assert (jnp.abs(found - exact) < 4 * jnp.sqrt(2 * jnp.outer(sizes, sizes) / num) + 0.02 * exact).all()
        largest = float(jnp.linalg.eigvalsh(found / jnp.outer(deviation, deviation))[-1])
        assert largest < float(misses.largest[t - 2]) * (1 + 1e-5) < 1.2 * largest
        covariance = slope @ covariance @ slope.T + jnp.diag(variance)


def test_the_tilted_law_is_that_of_bayes():
    keys = iter(jax.random.split(KEY, 8))
    num, size, measurements = 5, 4, 3
    displacement = jax.random.normal(next(keys), (num, size))
    prior = NormalStep(jnp.zeros((num, size)), jnp.zeros(()), displacement, jax.random.normal(next(keys), (num, size)))
    slopes = jax.random.normal(next(keys), (measurements, size))
    left = jnp.diag(jnp.array([0.5, 1.0, 2.0]))
    apart = jax.random.normal(next(keys), (num, measurements))
    laws = Covariances.of(slopes @ slopes.T + left, left)
    tilt = OfSharedMeasurements(jnp.zeros(num), prior, apart, slopes, laws)

    precision = jnp.eye(size) + slopes.T @ jnp.linalg.inv(left) @ slopes
    mean = jax.vmap(lambda one: jnp.linalg.solve(precision, slopes.T @ jnp.linalg.solve(left, one)))(apart)
    noise = jax.random.normal(next(keys), (num, size))
    exact = dist.MultivariateNormal(mean, precision_matrix=precision).log_prob(noise) - dist.Normal().log_prob(
        noise
    ).sum(axis=1)
    np.testing.assert_allclose(tilt.log_ratio(prior.at(noise)), exact, atol=2e-4)

    draws = jax.vmap(lambda key: prior.noise_of(tilt.sample(key))[0])(jax.random.split(next(keys), 20_000))
    covariance = np.linalg.inv(precision)
    deviation = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - mean[0]) < 4 * deviation / np.sqrt(len(draws))).all()
    spread = np.sqrt((np.outer(deviation, deviation) ** 2 + covariance**2) / len(draws))
    assert (np.abs(np.cov(draws.T) - covariance) < 4 * spread).all()


@pytest.mark.parametrize("variance", [0.0, 0.25])
def test_particles_find_the_posterior_with_fewer_lost_than_coordinate_by_coordinate(variance):
    diffusion, seen = chain(), observation(variance)
    twist = twist_for(diffusion, seen, exact=False)
    assert isinstance(twist, Average)
    state, ess = run(diffusion, twist, seen, KEY, 2000, systematic, 0.5)
    _, by_variance = run(diffusion, ByVariance(seen), seen, KEY, 2000, systematic, 0.5)
    assert 2000 / ess.min() - 1 < 0.25 * (2000 / by_variance.min() - 1)  # the variance of the weights
    mean, covariance = law_of_linear(diffusion)
    known = dist.MultivariateNormal(mean[:5], covariance[:5, :5] + (variance + 1e-9) * np.eye(5))
    assert abs(float(state.log_evidence) - known.log_prob(seen.value[:5])) < 4 * float(np.sqrt(1 / ess.min()))
    gain = covariance[5:, :5] @ np.linalg.inv(covariance[:5, :5] + variance * np.eye(5))
    exact = mean[5] + gain @ (np.asarray(seen.value[:5]) - mean[:5])
    spread = np.sqrt(covariance[5, 5] - gain @ covariance[:5, 5])
    weights = np.exp(np.asarray(state.log_weights, np.float64))
    assert abs(weights @ np.asarray(state.particles)[:, 5] - exact)[0] < 4 * spread[0] / np.sqrt(ess.min())


def test_steps_share_matrices_where_they_would_take_too_much(monkeypatch):
    diffusion = chain(21)
    whole = measure_misses(diffusion, KEY, 256)
    monkeypatch.setattr(average, "MOST_ENTRIES", 7 * SIZE**2)
    shared = measure_misses(diffusion, jax.random.key(0), 255)
    assert (whole.every, shared.every) == (1, 3)
    assert shared.correlation.shape == (7, SIZE, SIZE)
    last, before = jnp.asarray(21), jnp.asarray(20)
    np.testing.assert_array_equal(shared.correlation[(last - 2) // 3], shared.correlation[(before - 2) // 3])
    apart = jnp.abs(shared.at(before)[0] - whole.at(before)[0]).max()
    assert apart < 0.2 * whole.at(before)[0].max()


def test_what_is_known_of_a_chain_is_looked_at_once(monkeypatch):
    diffusion, calls = chain(8), []
    monkeypatch.setattr(average, "measure_misses", lambda *given: calls.append(given) or measure_misses(*given))
    method = SMC(50, proposal=Twist(covariance="average"))
    for value in (0.0, 1.0):
        found = condition(diffusion, lambda x_0: dist.Normal(x_0, 1.0), jnp.full(SIZE, value), key=KEY, method=method)
    assert found.log_evidence is not None
    assert len(calls) <= 1


def test_what_was_found_of_a_chain_goes_with_it():
    class Found:
        pass

    diffusion, find = chain(4), of_the_last_chain(lambda diffusion: Found())
    found = weakref.ref(find(diffusion))
    assert found() is find(diffusion)
    del diffusion
    gc.collect()
    assert found() is None


def test_data_too_large_for_a_matrix_are_taken_by_coordinate(monkeypatch):
    monkeypatch.setattr(average, "MOST_COORDINATES", SIZE - 1)
    assert isinstance(twist_for(chain(), observation(1.0), exact=False), ByVariance)
