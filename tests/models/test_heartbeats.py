import math

import jax
import numpy as np
import pytest

from dpm_ppl.evaluation.scores import score
from dpm_ppl.models import heartbeats
from tests import reference

LN_2 = math.log(2)


def test_there_are_five_sequences():
    sequences = heartbeats.sequences(5)
    assert {tuple(row) for row in sequences.tolist()} == {tuple(row) for row in reference.pulses(20).tolist()}
    np.testing.assert_array_equal(sequences.sum(axis=1), 4)
    for row in sequences:
        np.testing.assert_array_equal(np.diff(np.flatnonzero(row)), 5)


def test_phases_are_equally_frequent():
    experiment = heartbeats.Heartbeat(num_steps=2).experiment()
    for data, num_points in ((experiment.task.train, 5_000), (experiment.task.heldout, 2_000)):
        assert (data.num_points, data.event_shape, data.log_det) == (num_points, (20,), 0.0)
        np.testing.assert_allclose(heartbeats.share_of_phases(data.source), 1 / 5, rtol=1e-12)


def test_exact_log_probability():
    sequences = heartbeats.sequences(5)
    np.testing.assert_allclose(heartbeats.exact_log_probability(sequences), math.log(1 / 5))
    # No sequence is a heartbeat once a bit is flipped, and all that is not a heartbeat is impossible.
    flipped = np.abs(sequences[:, None, :] - np.eye(20, dtype=int)).reshape(-1, 20)
    assert (heartbeats.exact_log_probability(flipped) == -np.inf).all()
    np.testing.assert_array_equal(heartbeats.share_of_phases(flipped), 0)
    mixed = np.concatenate([sequences[:1], flipped[:3]])
    np.testing.assert_allclose(heartbeats.share_of_phases(mixed), [1 / 4, 0, 0, 0, 0])


@pytest.mark.parametrize(("pi", "bits"), [(0.2, -14.43856), (0.5, -20.0)])
def test_a_model_that_has_learned_nothing_scores_the_stationary_law(pi, bits):
    experiment = heartbeats.Heartbeat(pi=pi, num_steps=10).experiment()
    key = jax.random.key(0)
    scores = score(
        experiment.recipe.method,
        experiment.task.heldout,
        key,
        num_draws=1,
        exact=experiment.task.exact,
        data_chunk=2000,
    )
    assert scores.L_null.mean == pytest.approx(bits, abs=2e-5)
    assert scores.L_null.se == pytest.approx(0, abs=1e-6)
    learned = scores.K_minus_L_null
    assert learned.mean == pytest.approx(0, abs=4 * learned.se + 1e-4)
    assert scores.exact is not None
    assert scores.exact.mean == pytest.approx(-math.log(5) / LN_2)
