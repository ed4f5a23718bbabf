import math

import jax
import numpy as np
import pytest
from numpyro.distributions import MultivariateNormal

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.estimates.standard_errors import estimate

RNG = np.random.default_rng(0)
CORRELATED = RNG.normal(size=(500, 3)) @ np.array([[4.0, 1, 0], [0, 0.5, 2], [0, 0, 0.1]]) + [10.0, -3.0, 1.0]
LEVELS = RNG.integers(0, 17, size=(200, 2, 4))
CHOICES = [
    {"per_coordinate": per_coordinate, "pooled_mean": pooled_mean}
    for per_coordinate in (False, True)
    for pooled_mean in (False, True)
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_round_trip(choice):
    for dataset in (Dataset.from_continuous(CORRELATED, **choice), Dataset.from_levels(LEVELS, 17, **choice)):
        z = dataset.units.standardise(dataset.source)
        assert z.dtype == np.float32
        np.testing.assert_allclose(dataset.units.unstandardise(z), dataset.source, atol=1e-5)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_log_det_is_the_change_of_variables_of_a_gaussian(choice, x64):
    units = Dataset.from_continuous(CORRELATED, **choice).units
    mean, covariance = CORRELATED.mean(axis=0), np.cov(CORRELATED.T)
    scale = np.broadcast_to(units.scale, (3,))
    z = (CORRELATED - units.shift) / scale
    of_z = MultivariateNormal((mean - units.shift) / scale, covariance / np.outer(scale, scale)).log_prob(z)
    of_x = MultivariateNormal(mean, covariance).log_prob(CORRELATED)
    np.testing.assert_allclose(units.as_original(of_z), of_x, rtol=1e-9)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_uniform_density_over_the_levels_costs_log2_of_their_number(choice):
    """The density of z that is uniform over all levels codes each coordinate in exactly log2 K bits."""
    units = Dataset.from_levels(LEVELS, 17, **choice).units
    scale = np.broadcast_to(units.scale, units.event_shape)
    log_density = -float(np.log(17 / scale).sum())
    assert units.bits_per_dim(log_density) == pytest.approx(math.log2(17), rel=1e-12)


def test_units_of_figures():
    units = Dataset.from_levels(LEVELS, 17).units
    assert units.in_units(8 * math.log(2), "bits/point") == pytest.approx(8)
    assert units.in_units(8 * math.log(2), "bits/coordinate") == pytest.approx(1)
    assert units.in_units(8.0, "nats/coordinate") == 1.0
    assert units.in_units(8.0, "nats/point") == 8.0


def test_estimates_convert_as_their_values_do():
    units = Dataset.from_levels(LEVELS, 17).units
    values = RNG.normal(size=30)
    converted, expected = units.bits_per_dim(estimate(values)), estimate(units.bits_per_dim(values))
    assert (converted.mean, converted.se) == pytest.approx((expected.mean, expected.se), rel=1e-12)


def test_values_return_as_they_were_given():
    levels = Dataset.from_levels(LEVELS, 17)
    np.testing.assert_array_equal(levels.units.as_given(levels.values), LEVELS)
    dequantised = levels.draw(jax.numpy.asarray(levels.values), jax.random.key(0))
    np.testing.assert_array_equal(levels.units.as_given(dequantised), LEVELS)
    assert set(levels.units.as_given([np.full((2, 4), -9.0), np.full((2, 4), 9.0)]).ravel()) == {0, 16}

    bits = RNG.integers(0, 2, size=(10, 5))
    binary = Dataset.from_binary(bits)
    np.testing.assert_array_equal(binary.units.as_given(binary.values), bits)
    assert binary.units.as_given(binary.values).dtype.kind == "i"


def test_no_bits_per_dim_without_levels():
    with pytest.raises(InputError, match="units: expected data with levels, got continuous data"):
        Dataset.from_continuous(CORRELATED).units.bits_per_dim(1.0)


@pytest.mark.parametrize("unit", ["bits", "bits/dim", "bananas/point"])
def test_unknown_unit(unit):
    with pytest.raises(InputError, match="unit: expected one of nats/point"):
        Dataset.from_continuous(CORRELATED).units.in_units(1.0, unit)
