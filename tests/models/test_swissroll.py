import math
from functools import cache

import numpy as np
import pytest

from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.units import Units
from dpm_ppl.models import swissroll

LN_2 = math.log(2)


@cache
def standardised(noise, num_points=10_000):
    """Units of a training split and standardised data that are not of it."""
    generator = np.random.default_rng(1)
    train = Dataset.from_continuous(swissroll.generate(100_000, noise, generator), per_coordinate=True)
    return train.units, train.units.standardise(swissroll.generate(num_points, noise, generator))


def by_simpson(x, noise, num_intervals):
    """Log-density of points as they are: Simpson's rule over the angle, one point at a time."""
    angle = np.linspace(1.5 * np.pi, 4.5 * np.pi, num_intervals + 1)
    rule = np.ones(num_intervals + 1)
    rule[1:-1:2], rule[2:-1:2] = 4, 2
    share = np.log(rule / rule.sum())

    def of_point(point):
        log_terms = share - ((point[0] - angle * np.cos(angle)) ** 2 + (point[1] - angle * np.sin(angle)) ** 2) / (
            2 * noise**2
        )
        return np.logaddexp.reduce(log_terms)

    return np.array([of_point(point) for point in x]) - math.log(2 * math.pi * noise**2)


@pytest.mark.parametrize("noise", [0.5, 1.5])
def test_density_integrates_to_one(noise):
    units = Units((2,), "continuous", np.array([2.0, 0.2]), np.array([6.0, 7.0]))
    # The trapezoidal rule is exact to rounding where the spacing is half the noise or less.
    reach, spacing = 14.2 + 8 * noise, noise / 2.5
    line = np.arange(-reach, reach, spacing)
    x = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    log_density = swissroll.exact_log_density((x - units.shift) / units.scale, noise=noise, units=units)
    area = spacing**2 / units.scale.prod()
    assert np.exp(log_density).sum() * area == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("noise", "num_intervals"), [(0.5, 2**15), (0.02, 2**18)])
def test_density_is_that_of_another_quadrature(noise, num_intervals):
    units, z = standardised(noise)
    ends = np.array([[0.0, -1.5 * np.pi], [0.0, 4.5 * np.pi]])  # where the roll begins and ends
    near = ends + noise * np.array([[0.5, 1.0], [-1.0, 0.3]])
    scattered = np.random.default_rng(2).uniform(-15, 15, size=(10, 2))  # between the turns, and outside
    z = np.concatenate([z[:15], (np.concatenate([near, scattered, np.zeros((1, 2))]) - units.shift) / units.scale])
    expected = by_simpson(units.unstandardise(z), noise, num_intervals) - units.log_det
    got = swissroll.exact_log_density(z, noise=noise, units=units)
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8)


def test_density_does_not_depend_on_the_company_of_other_points():
    units, z = standardised(0.02)
    z = np.concatenate([z[:50], [[30.0, -30.0], [0.0, 0.0]]])
    whole = swissroll.exact_log_density(z, noise=0.02, units=units)
    one_by_one = swissroll.exact_log_density(z, noise=0.02, units=units, data_chunk=1)
    np.testing.assert_allclose(whole, one_by_one, rtol=1e-12)


# The entropy of the roll, scaled to unit variance, was found by Monte Carlo to 0.026 bits.
@pytest.mark.parametrize(("noise", "bits"), [(0.5, -1.94), (0.02, 2.70)])
def test_mean_log_density_of_data(noise, bits):
    units, z = standardised(noise)
    log_density = swissroll.exact_log_density(z, noise=noise, units=units) / LN_2
    assert log_density.mean() == pytest.approx(bits, abs=4 * np.hypot(log_density.std() / np.sqrt(len(z)), 0.01))


def test_moments_of_the_roll():
    x = swissroll.generate(200_000, 0.0, np.random.default_rng(3))
    for values, expected in ((x[:, 0], 2.000), (x[:, 1], 0.212)):
        assert values.mean() == pytest.approx(expected, abs=4 * values.std() / np.sqrt(len(x)) + 5e-4)
    squared = np.square(x - x.mean(axis=0)).mean(axis=1)
    assert squared.mean() == pytest.approx(46.09, abs=4 * squared.std() / np.sqrt(len(x)) + 5e-3)


def test_noise_is_that_around_the_roll():
    still, moved = (swissroll.generate(100_000, noise, np.random.default_rng(4)) for noise in (0.0, 0.3))
    np.testing.assert_allclose(np.hypot(*still.T).min(), 1.5 * np.pi, rtol=1e-3)
    np.testing.assert_allclose(np.hypot(*still.T).max(), 4.5 * np.pi, rtol=1e-3)
    assert (moved - still).std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * still.size))


def test_experiment_is_scored_in_its_own_units():
    experiment = swissroll.SwissRoll(noise=0.5, num_steps=2).experiment()
    rows = experiment.task.heldout.rows(np.arange(20))
    assert experiment.task.heldout.units is experiment.task.train.units
    assert experiment.task.exact is not None
    expected = swissroll.exact_log_density(rows, noise=0.5, units=experiment.task.train.units)
    np.testing.assert_array_equal(experiment.task.exact(rows), expected)
    np.testing.assert_allclose(experiment.task.train.values.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(experiment.task.train.values.std(axis=0), 1, rtol=1e-4)
