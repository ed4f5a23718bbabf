"""Training data that every batch changes at random."""

import jax
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.data import Dataset, binarised, flipped

RANDOM = np.random.default_rng(0)
KEY = jax.random.key(0)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
def test_half_of_the_images_are_mirrored_left_to_right(shape):
    data = Dataset.from_continuous(RANDOM.normal(size=(400, *shape)), pooled_mean=True)
    training = flipped(data)
    assert (training.num_points, training.resident) == (400, True)
    assert training.source is data.source
    rows = training.rows(np.arange(400))
    np.testing.assert_array_equal(rows, data.values)
    drawn = np.asarray(training.draw(rows, KEY))
    is_flipped = (drawn == rows[:, :, ::-1]).all(axis=tuple(range(1, drawn.ndim)))
    np.testing.assert_array_equal(drawn[~is_flipped], rows[~is_flipped])
    assert is_flipped.mean() == pytest.approx(0.5, abs=4 * 0.5 / 20)
    assert not np.array_equal(training.draw(rows, jax.random.key(1)), drawn)
    assert jax.tree.structure(training.draw) == jax.tree.structure(flipped(data).draw)  # so that programs are shared


def test_levels_are_dequantised_before_they_are_mirrored():
    data = Dataset.from_levels(RANDOM.integers(0, 5, (50, 3, 3)), 5, pooled_mean=True)
    drawn = np.asarray(flipped(data).draw(data.values, KEY))
    levels = data.units.as_given(drawn)
    for image, level in zip(data.source, levels, strict=True):
        assert np.array_equal(level, image) or np.array_equal(level, image[:, ::-1])


def test_coordinates_with_units_of_their_own_are_not_mirrored():
    with pytest.raises(InputError, match="data: expected images with one shift and one scale"):
        flipped(Dataset.from_continuous(RANDOM.normal(size=(20, 3, 3))))


def test_bits_are_drawn_afresh_with_their_grey_as_probability():
    shades = np.tile(np.array([[0, 51, 204, 255]], np.uint8), (4000, 1))
    training = binarised(shades)
    rows = training.rows(np.arange(4000))
    drawn = np.asarray(training.draw(rows, KEY))
    assert drawn.dtype == np.int32
    np.testing.assert_array_equal(drawn[:, [0, 3]].mean(axis=0), [0, 1])
    np.testing.assert_allclose(drawn[:, 1:3].mean(axis=0), [0.2, 0.8], atol=4 * 0.4 / np.sqrt(4000))
    assert not np.array_equal(training.draw(rows, jax.random.key(1)), drawn)
