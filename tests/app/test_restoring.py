"""Figures 3 and 5: what is seen stays, and what is not is drawn from the model."""

import jax
import numpy as np
import pytest

import dpm_ppl as dpm
from dpm_ppl.app.paper import restoring
from dpm_ppl.app.paper.restoring import CAPTIONS, middle_of, restored
from dpm_ppl.data.sources import dead_leaves

T, SHAPE, NUM_IMAGES = 40, (6, 6), 40


@pytest.fixture(scope="module")
def images():
    train, heldout = np.split(dead_leaves(1_100, 6, most_radius=8.0, seed=1), [1_000])
    known = dpm.Dataset.from_levels(train, 256, pooled_mean=True)
    data = dpm.Dataset.from_levels(heldout, 256, reference=known)
    pixels = known.rows(np.arange(1_000)).reshape(1_000, -1)
    inner = dpm.TimeMLP(SHAPE, 2, T, width=8, depth=1, key=jax.random.key(0))
    network = dpm.gaussian_network(inner, pixels.mean(axis=0), np.cov(pixels.T))
    schedule = dpm.LogSNR(T, 9.0, -9.0)
    diffusion = dpm.Diffusion(dpm.GaussianKernel(dpm.noise_prediction), schedule, network, SHAPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "NUM_IMAGES", NUM_IMAGES)
        return data, {name: restored(diffusion, data, name, jax.random.key(3)) for name in CAPTIONS}


def test_the_middle_is_a_third_of_each_side():
    for shape, number in (((6, 6), 4), ((300, 150), 100 * 50), ((9, 9, 3), 27)):
        middle = middle_of(shape)
        assert (middle.shape, middle.sum()) == (shape, number)
        np.testing.assert_array_equal(middle, middle[::-1, ::-1])


def test_what_is_seen_stays(images):
    data, found = images
    given, seen, drawn = found["inpainted"].values()
    np.testing.assert_array_equal(given, data.source[:NUM_IMAGES])
    middle = middle_of(SHAPE)
    for shown in (seen, drawn):
        np.testing.assert_array_equal(shown[:, ~middle], given[:, ~middle])
        assert (shown[:, middle] != given[:, middle]).any()


def test_a_draw_is_nearer_to_what_was_observed_than_other_data_are(images):
    for given, corrupted, drawn in (one.values() for one in images[1].values()):
        other = np.where(corrupted == given, given, np.roll(given, 1, axis=0))  # of other data, what was not seen
        apart = [np.square(one - given.astype(float)).mean(axis=(1, 2)) for one in (other, drawn)]
        gained = dpm.paired_difference(*apart)
        assert gained.mean > 3 * gained.se
