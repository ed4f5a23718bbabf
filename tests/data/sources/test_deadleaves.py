"""Dead leaves obey the laws of the model, of which the correlation of two pixels is known in closed form."""

import numpy as np
import pytest
from scipy.integrate import quad

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.sources import dead_leaves

SIZE, LEAST, MOST = 8, 1.0, 20.0


@pytest.fixture(scope="module")
def images():
    return dead_leaves(4000, SIZE, least_radius=LEAST, most_radius=MOST)


def same_leaf(distance, least, most):
    """The probability that two points show the same leaf.

    The first leaf to cover one of them covers both with the probability of an area in common over that of the union.
    """

    def common(d):
        def lens(r):
            return 2 * r**2 * np.arccos(d / 2 / r) - d / 2 * np.sqrt(4 * r**2 - d**2)

        return quad(lambda r: r**-3 * lens(r), max(least, d / 2), most)[0]

    return common(distance) / (2 * common(0) - common(distance))


def mean_and_error(values):
    """Over independent images."""
    each = values.reshape(len(values), -1).mean(axis=1)
    return each.mean(), each.std() / np.sqrt(len(each))


@pytest.mark.parametrize("distance", [1, 2, 4, 7])
def test_two_pixels_show_one_leaf_as_often_as_they_should(images, distance):
    for one, other in (
        (images[:, :, distance:], images[:, :, :-distance]),
        (images[:, distance:], images[:, :-distance]),
    ):
        # Different leaves have the same grey once in 256 times.
        expected = same_leaf(distance, LEAST, MOST)
        found, error = mean_and_error(one == other)
        assert found == pytest.approx(expected + (1 - expected) / 256, abs=4 * error)
        product, error = mean_and_error((one - 127.5) * (other - 127.5) / ((256**2 - 1) / 12))
        assert product == pytest.approx(expected, abs=4 * error)


def test_greys_are_uniform(images):
    for place in ((0, 0), (3, 4), (-1, 2)):  # at the rim as in the middle
        counts = np.bincount(images[:, *place] // 16, minlength=16)
        assert ((counts - 250) ** 2 / 250).sum() < 40  # of 15 degrees of freedom, above 37.7 once in a thousand times


def test_images_look_alike_at_every_scale(images):
    twice = dead_leaves(4000, 2 * SIZE, least_radius=2 * LEAST, most_radius=2 * MOST, seed=1)
    found = [mean_and_error(one[:, :, :-step] == one[:, :, step:]) for one, step in ((images, 2), (twice, 4))]
    (first, error), (second, other_error) = found
    assert first == pytest.approx(second, abs=4 * np.hypot(error, other_error))


def test_leaves_hide_one_another():
    """A grey's region is a disc with pieces missing, and the smallest leaves lie whole on top of large ones."""
    (image,) = dead_leaves(1, 64, least_radius=2.0, most_radius=30.0)
    greys, counts = np.unique(image, return_counts=True)
    assert len(greys) > 20
    assert counts.max() < np.pi * 31**2
    assert ((counts > 0.7 * np.pi * 4) & (counts < 1.5 * np.pi * 4)).any()


def test_a_seed_decides_all(images):
    np.testing.assert_array_equal(dead_leaves(4000, SIZE, least_radius=LEAST, most_radius=MOST), images)
    assert not np.array_equal(dead_leaves(4000, SIZE, least_radius=LEAST, most_radius=MOST, seed=2), images)
    assert (images.dtype, images.shape) == (np.uint8, (4000, SIZE, SIZE))


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"num_images": 0}, "num_images"),
        ({"size": 0}, "size"),
        ({"least_radius": 0.0}, "least_radius"),
        ({"least_radius": 64.0}, "most_radius"),
        ({"most_radius": np.inf}, "most_radius"),
    ],
)
def test_sizes_and_radii_are_checked(change, argument):
    with pytest.raises(InputError, match=f"^{argument}: "):
        dead_leaves(**{"num_images": 1, "size": 4} | change)
