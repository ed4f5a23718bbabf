"""The parameters of the best evaluation are kept, through interruption and resumption too."""

import jax
import numpy as np
import pytest

import dpm_ppl as dpm
from dpm_ppl.training import checkpoint
from dpm_ppl.training.loop import _is_over
from dpm_ppl.training.updates import init
from tests.tiny import DATA, flat, make_svi

KEY = jax.random.key(3)
SCORES = [0.0, 2.0, float("nan"), 5.0, 1.0, 5.0]
"""What the evaluations give, before the first update and after each; the best is that after the third."""


def fit(seen, num_updates=5, **options):
    def evaluate(params):
        seen.append(flat(params))
        return {"score": SCORES[len(seen) - 1]}

    given = {"batch_size": 10, "evaluate": evaluate, "evaluate_every": 1, "keep_best": "score"} | options
    return dpm.fit(make_svi(), DATA, num_updates=num_updates, key=KEY, progress=False, **given)


def test_the_first_of_the_best_is_kept_and_the_last_goes_on():
    seen = []
    result = fit(seen)
    assert [row["update"] for row in result.metrics] == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(flat(result.params), seen[3])
    np.testing.assert_array_equal(flat(result.state.params), seen[5])
    plain = dpm.fit(make_svi(), DATA, num_updates=5, batch_size=10, key=KEY, progress=False)
    np.testing.assert_array_equal(flat(plain.params), seen[5])


@pytest.mark.parametrize("stopped_after", [1, 3, 4])
def test_a_resumed_fit_keeps_the_same(stopped_after, tmp_path):
    whole, parts = [], []
    expected = fit(whole, checkpoint_dir=tmp_path / "whole")
    fit(parts, num_updates=stopped_after, checkpoint_dir=tmp_path / "parts")
    result = fit(parts, checkpoint_dir=tmp_path / "parts", resume=True)
    assert len(parts) == len(whole)
    np.testing.assert_array_equal(flat(result.state), flat(expected.state))
    np.testing.assert_array_equal(flat(result.params), whole[3])
    state, _ = checkpoint.load(
        checkpoint.latest(tmp_path / "parts"), init(make_svi(), KEY, jax.numpy.asarray(DATA[:10]), keep_best=True)
    )
    np.testing.assert_array_equal(flat(state.chosen), whole[3])


def test_a_fit_ends_early_where_patience_runs_out(tmp_path):
    seen, again, options = [], [], {"patience": 1, "checkpoint_dir": tmp_path}
    result = fit(seen, **options)
    assert [row["update"] for row in result.metrics] == [0, 1, 2]
    assert (int(result.state.num_updates), result.interrupted) == (2, False)
    np.testing.assert_array_equal(flat(result.params), seen[1])
    resumed = fit(again, resume=True, **options)  # which has nothing left to do
    assert again == []
    np.testing.assert_array_equal(flat(resumed.params), seen[1])


@pytest.mark.parametrize(("patience", "last"), [(1, 2), (2, 5), (3, 6)])
def test_patience_counts_the_evaluations_since_the_best(patience, last):
    scores = [0.0, 2.0, float("nan"), 5.0, 1.0, 5.0, 5.0]
    over = [_is_over([{"score": score} for score in scores[: place + 1]], "score", patience, 0.0) for place in range(7)]
    assert over.index(True) == last


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluate": None}, "keep_best: .*no evaluate"),
        ({"keep_best": "K"}, "keep_best: .*score"),
        ({"keep_best": None, "patience": 2}, "patience: .*keep_best"),
        ({"patience": 0}, "patience: .*at least 1"),
    ],
)
def test_there_must_be_a_value_to_go_by(change, message):
    with pytest.raises(dpm.InputError, match=message):
        fit([], **change)
