import math

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from dpm_ppl.evaluation.scores import score
from dpm_ppl.kernels import CategoricalKernel, GaussianKernel, discretised_gaussian
from dpm_ppl.models import digits
from dpm_ppl.schedules import Erasure
from tests.instances import small


@pytest.fixture(scope="module")
def experiment():
    return digits.Digits(num_steps=2).experiment()


def images(*datasets):
    """The images of the datasets as sorted rows."""
    return sorted(tuple(image.ravel().tolist()) for data in datasets for image in data.source)


@pytest.fixture(scope="module")
def parts(experiment):
    return experiment.task.train, experiment.task.validation, experiment.task.heldout


def test_split(parts):
    assert [part.num_points for part in parts] == [1400, 100, 297]
    assert {part.event_shape for part in parts} == {(8, 8)}
    every = sorted(tuple(map(int, row)) for row in load_digits(return_X_y=True)[0])
    assert images(*parts) == every
    assert len(set(every)) == len(every)  # so that what is split is disjoint


def test_levels(experiment, parts):
    for data in parts:
        assert data.source.dtype.kind == "i"
        assert (data.source.min(), data.source.max()) == (0, 16)
        assert data.units.num_levels == 17
        assert data.units is experiment.task.train.units


def test_whole_levels_are_those_of_the_same_split(experiment):
    whole = digits.Digits(num_steps=2, kernel="categorical").experiment().task.heldout
    np.testing.assert_array_equal(whole.values, experiment.task.heldout.source)
    assert (whole.values.dtype, whole.log_det, whole.units.num_levels) == (np.int32, 0.0, 17)
    nothing = small(CategoricalKernel(discretised_gaussian(17)), Erasure(3), (8, 8), scale=0)
    scores = score(nothing, whole, jax.random.key(0), datum="image", data_chunk=2000)
    assert scores.L_null.mean == pytest.approx(-64 * math.log2(17), rel=1e-5)
    assert scores.bits_per_dim.mean == pytest.approx(math.log2(17), abs=4 * scores.bits_per_dim.se)


def test_the_split_is_the_same_every_time(experiment):
    again = digits.Digits(num_steps=3, edge="learned").experiment()
    np.testing.assert_array_equal(again.task.train.source, experiment.task.train.source)
    np.testing.assert_array_equal(again.task.heldout.source, experiment.task.heldout.source)


def test_a_model_that_has_learned_nothing_scores_the_stationary_law(experiment):
    units, levels, num_draws = experiment.task.heldout.units, experiment.task.heldout.source, 3
    nothing = small(GaussianKernel(), Erasure(5, beta_1=0.01), (8, 8), scale=0)
    scores = score(
        nothing, experiment.task.heldout, jax.random.key(0), num_draws=num_draws, datum="image", data_chunk=2000
    )
    middle = (levels + 0.5 - units.shift) / units.scale
    width = 1 / units.scale
    # Uniform noise over a level adds width^2 / 12 to the mean square of its middle.
    per_datum = -0.5 * (math.log(2 * math.pi) + middle**2 + width**2 / 12).sum(axis=(1, 2))
    noise = np.sqrt((middle**2 * width**2 / 12).sum() / num_draws) / len(levels)
    expected = per_datum.mean() / math.log(2)
    assert scores.L_null.mean == pytest.approx(expected, abs=5 * noise / math.log(2))
    learned = scores.K_minus_L_null
    assert learned.mean == pytest.approx(0, abs=4 * learned.se)
    # A Gaussian that only has the right mean and scale: log2 of the scale above the entropy of N(0, 1), bar the split.
    assert scores.bits_per_dim is not None
    bits_per_dim = -(expected + learned.mean) / 64 + np.log2(units.scale)
    assert scores.bits_per_dim.mean == pytest.approx(bits_per_dim, abs=5 * noise / 64 / math.log(2))
    assert scores.unit == "bits/image"
    for figure, per_pixel in (
        (scores.K, scores.K_per_pixel),
        (scores.K_minus_L_null, scores.K_minus_L_null_per_pixel),
    ):
        assert (per_pixel.mean, per_pixel.se) == pytest.approx((figure.mean / 64, figure.se / 64), rel=1e-6)
