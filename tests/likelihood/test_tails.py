"""What few draws cannot have shown is allowed for."""

import numpy as np
import pytest
from scipy.stats import genpareto

from dpm_ppl.likelihood.result import LogLikelihood
from dpm_ppl.likelihood.running import BULK, RunningWeights
from dpm_ppl.likelihood.tails import (
    bulk_index,
    generalised_pareto_shape,
    shape_error,
    skewness_factor,
    unseen_tail,
)

RNG = np.random.default_rng(0)
REPETITIONS = 600


def lognormal(deviation):
    return RNG.normal(-(deviation**2) / 2, deviation, (REPETITIONS, 256))


def pareto(index):
    return index * RNG.exponential(size=(REPETITIONS, 256)) + np.log1p(-index)


def one_in_ten_pareto(index):
    return np.log(0.9 + 0.1 * np.exp(pareto(index)))


LAWS = {
    "equal": (lambda: np.zeros((REPETITIONS, 256)), True),
    "log-normal, sd 0.1": (lambda: lognormal(0.1), True),
    "log-normal, sd 0.5": (lambda: lognormal(0.5), True),
    "log-normal, sd 1.5": (lambda: lognormal(1.5), False),
    "Pareto, 0.2": (lambda: pareto(0.2), True),
    "Pareto, 0.36": (lambda: pareto(0.36), True),
    "Pareto, 0.64": (lambda: pareto(0.64), False),
    "Pareto, 0.8": (lambda: pareto(0.8), False),
    "one in ten Pareto, 0.7": (lambda: one_in_ten_pareto(0.7), True),
    "bounded": (lambda: -0.5 * RNG.chisquare(1, (REPETITIONS, 256)) + 0.5 * np.log(2), True),
    "left-skew": (lambda: -2 * RNG.exponential(size=(REPETITIONS, 256)) + np.log(3), True),
}


@pytest.mark.parametrize("name", LAWS)
def test_errors_cover_and_reliable_ones_are_what_they_say(name):
    """256 weights of mean 1: their log-mean within 1.96 standard errors of 0 in 94 of 100 cases, less three sigma.

    Which laws count as reliable hardly depends on what a sample of them has missed: nearly all samples or nearly none.
    """
    draw, is_reliable = LAWS[name]
    running = RunningWeights(REPETITIONS, seed=0)
    running.add(draw())
    result = LogLikelihood.of([running], 1)
    hits = np.abs(result.log_likelihood) <= 1.96 * result.se + 1e-12
    least = 0.94 - 3 * np.sqrt(0.06 * 0.94 / REPETITIONS)
    assert hits.mean() > least
    reliable = result.verdict == "reliable"
    if is_reliable:
        assert reliable.mean() > 0.9
        assert hits[reliable].mean() > least
    else:
        assert (reliable & ~hits).mean() < 0.01
        assert reliable.mean() < 0.03


@pytest.mark.parametrize("shape", [-0.5, 0.0, 0.3, 0.7])
def test_shapes_and_their_errors(shape):
    fits = generalised_pareto_shape(np.sort(genpareto.rvs(shape, size=(300, 400), random_state=1), axis=1))
    assert fits.mean() == pytest.approx(shape, abs=4 * fits.std() / np.sqrt(300) + 0.01)
    assert fits.std() < 1.15 * shape_error(np.array(shape), 400)


def test_light_and_heavy_tails_are_told_apart():
    light, heavy = (np.sort(np.exp(draw), axis=1) for draw in (-RNG.exponential(size=(9, 4096)), pareto(0.8)[:9]))
    assert (unseen_tail(light[:, -1024:], 4096, np.ones(9), 4.0)[1] < 0).all()
    assert (unseen_tail(heavy, 256, np.ones(9), 4.0)[1] > 1).all()


def test_nothing_is_unseen_of_equal_weights_nor_of_too_few():
    for largest, num_draws in ((np.ones((2, 100)), 256), (np.sort(RNG.exponential(size=(2, 16)), axis=1), 16)):
        rise, shape = unseen_tail(largest, num_draws, np.ones(2), 4.0)
        assert (rise == 0).all()
        assert np.isposinf(shape).all()  # and so no proof of a light tail


def test_skewness_widens_to_one_side():
    """Johnson's limit for exponential values, whose skewness is 2; none for their mirror image."""
    moments = np.array([1.0]), np.array([2.0]), np.array([6.0])
    factor = skewness_factor(*moments, 100)
    z = 1.96
    assert factor == pytest.approx(1 + (1 + 2 * z**2) / (6 * z) * 2 / 10)
    mirrored = np.array([-1.0]), np.array([2.0]), np.array([-6.0])
    assert skewness_factor(*mirrored, 100) == 1


def test_the_bulk_index_of_known_laws():
    log_weights = 0.6 * RNG.exponential(size=(5, 100_000))
    np.testing.assert_allclose(bulk_index(log_weights), 0.6, rtol=0.05)
    np.testing.assert_allclose(bulk_index(RNG.normal(size=(5, 100_000))), 0.796, rtol=0.05)


def test_the_bulk_is_the_first_draws():
    running = RunningWeights(2, seed=0)
    log_weights = RNG.normal(size=(2, 3000))
    for piece in np.split(log_weights, 30, axis=1):
        running.add(piece)
    np.testing.assert_array_equal(running.bulk, log_weights[:, :BULK])
