import errno
import gc
import io
import logging
import os
import signal
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro.infer import SVI, Trace_ELBO
from numpyro.primitives import mutable

from benchmarks.measurement import compiled_programs
from dpm_ppl._common import progress
from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.training import batches, checkpoint, loop
from dpm_ppl.training.batches import ArrayData, Batches
from dpm_ppl.training.loop import fit, init, step
from tests.tiny import DATA, flat, make_svi

KEY = jax.random.key(0)
TINY = make_svi()  # one for all, so that it is compiled once
SETTINGS: dict[str, Any] = {"num_updates": 60, "batch_size": 16, "key": KEY, "averaging": 0.9, "progress": False}


class Noisy:
    """Data in memory or streamed, to which every draw adds noise."""

    num_points = len(DATA)

    def __init__(self, resident):
        self.resident = resident
        self.values = DATA if resident else None

    def rows(self, indices):
        return DATA[indices]

    def draw(self, rows, key):
        return rows + 0.1 * jax.random.normal(key, rows.shape)


RESIDENT, STREAMED = Noisy(True), Noisy(False)


def assert_same(left, right):
    np.testing.assert_array_equal(flat(left), flat(right), strict=True)


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


# --- what the result does not depend on


@pytest.mark.parametrize("updates_per_chunk", [1, 7, 60, 500])
def test_chunks_leave_no_trace(updates_per_chunk):
    whole = fit(TINY, DATA, evaluate_every=20, **SETTINGS)
    parts = fit(TINY, DATA, evaluate_every=20, updates_per_chunk=updates_per_chunk, **SETTINGS)
    assert_same(whole.state, parts.state)
    assert without_seconds(whole.metrics) == without_seconds(parts.metrics)


def test_streamed_data_give_the_same_result_as_resident_data():
    assert_same(fit(TINY, RESIDENT, **SETTINGS).state, fit(TINY, STREAMED, **SETTINGS).state)


OF_USERS = {
    "levels": lambda shift: Dataset.from_levels(np.arange(150).reshape(50, 3) * shift % 7, 7),
    "an object": lambda shift: Noisy(True),
}


@pytest.mark.parametrize("make", OF_USERS.values(), ids=OF_USERS)
def test_data_are_not_kept(make):
    def fitted(shift):
        data = make(shift)
        fit(TINY, data, **SETTINGS)
        return weakref.ref(data)

    references = [fitted(shift) for shift in (1, 2)]
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_another_data_set_compiles_nothing():
    fit(TINY, OF_USERS["levels"](1), **SETTINGS)
    with compiled_programs() as programs:
        fit(TINY, OF_USERS["levels"](3), **SETTINGS)
    assert programs == []


def bits(batch):
    with numpyro.plate("data", len(batch)):
        numpyro.sample("x", dist.Bernoulli(0.3 * jnp.ones(3)).to_event(1), obs=batch)


@pytest.mark.parametrize("place", [0, 49])
def test_data_that_the_model_cannot_observe_are_refused(place):
    """Wherever they are, though not in the first batch."""
    data = np.zeros((50, 3), np.int32)
    data[place, 1] = 255
    svi = SVI(bits, lambda batch: None, optax.adam(1e-2), loss=Trace_ELBO())
    with pytest.raises(InputError, match=r"^dataset: expected data that the model can observe, got .*255 of the data"):
        fit(svi, data, **SETTINGS)


def test_an_array_may_be_on_the_device():
    assert_same(fit(TINY, DATA, **SETTINGS).state, fit(TINY, jnp.asarray(DATA), **SETTINGS).state)


@pytest.mark.parametrize("stop", [20, 37])
def test_a_resumed_fit_equals_an_uninterrupted_one(tmp_path, stop):
    settings = SETTINGS | {"evaluate": lambda params: {"scale": params["scale"].mean()}, "evaluate_every": 15}
    whole = fit(TINY, RESIDENT, **settings)
    fit(make_svi(), RESIDENT, checkpoint_dir=tmp_path, **settings | {"num_updates": stop})
    # The last row of the first part is one that the whole never has, unless the two ends agree.
    resumed = fit(TINY, RESIDENT, checkpoint_dir=tmp_path, resume=True, **settings)
    assert_same(whole.state, resumed.state)
    assert without_seconds(whole.metrics)[-1] == without_seconds(resumed.metrics)[-1]
    again = fit(TINY, RESIDENT, checkpoint_dir=tmp_path, resume=True, **settings)
    assert_same(whole.params, again.params)
    assert again.metrics == resumed.metrics


def test_another_key_gives_another_result():
    first, second = (fit(TINY, DATA, **SETTINGS | {"key": jax.random.key(seed)}) for seed in [0, 1])
    assert not np.allclose(flat(first.params), flat(second.params))


def test_a_loop_of_ones_own_gives_what_fit_gives():
    svi = TINY
    fitted = fit(svi, DATA, **SETTINGS)
    batches = Batches(ArrayData(DATA), 16, fitted.state.data_key, 1)
    state = init(svi, KEY, batches.first)
    update = jax.jit(lambda state, batch: step(svi, state, batch, averaging=0.9))
    for rows, _ in batches.chunks(0, 60):
        state, loss = update(state, rows[0])
    np.testing.assert_allclose(flat(state), flat(fitted.state), rtol=1e-4)
    assert loss.shape == ()


# --- batches and averages


@pytest.mark.parametrize(("num_points", "batch_size"), [(50, 16), (50, 50), (7, 1), (7, 5)])
def test_every_epoch_passes_once_over_the_data_in_a_new_order(num_points, batch_size):
    batches = Batches(ArrayData(np.arange(num_points)), batch_size, KEY, 4)
    batches.adapt(0.0, 1)
    num_updates = 5 * num_points
    rows = [np.asarray(rows)[:length] for rows, length in batches.chunks(0, num_updates)]
    epochs = np.concatenate(rows).reshape(-1, num_points)
    assert epochs.shape == (5 * batch_size, num_points)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.broadcast_to(np.arange(num_points), epochs.shape))
    assert len({tuple(epoch) for epoch in epochs[:5]}) == 5


def test_chunks_grow_while_fast_shrink_while_slow_and_end_where_asked():
    batches = Batches(ArrayData(DATA), 16, KEY, 100)
    chunks = batches.chunks(0, 1000, 30, None)
    lengths = []
    for seconds in [0.0] * 8 + [10.0] * 5:
        lengths.append(int(next(chunks)[1]))
        batches.adapt(seconds, lengths[-1])
    assert lengths == [1, 2, 4, 8, 15, 30, 30, 30, 30, 15, 7, 3, 1]
    assert sum(int(length) for _, length in batches.chunks(0, 47)) == 47


@pytest.mark.parametrize(
    ("per_update", "length"), [(1e-5, 100), (0.01, 50), (0.02, 25), (0.1, 16), (0.3, 16), (0.5, 10), (2.0, 2), (7.0, 1)]
)
def test_chunks_take_half_a_second_or_longer_where_that_is_few_updates(per_update, length):
    batches = Batches(ArrayData(DATA), 16, KEY, 100)
    chunks = batches.chunks(0, 1000)
    for _ in range(10):
        newest = int(next(chunks)[1])
        batches.adapt(per_update * newest, newest)
    assert newest == length


@pytest.mark.parametrize("averaging", [0.0, 0.5, 0.999])
def test_the_average_is_exponential_and_debiased(averaging):
    svi = TINY
    state = init(svi, KEY, DATA)
    update = jax.jit(lambda state: step(svi, state, DATA, averaging=averaging)[0])
    values = []
    for _ in range(6):
        state = update(state)
        values.append(flat(svi.get_params(state.svi_state)))
    weights = averaging ** np.arange(5, -1, -1.0)
    expected = np.average(values, axis=0, weights=weights)
    np.testing.assert_allclose(flat(state.params), expected, rtol=1e-5)
    assert (np.asarray(state.params["scale"]) > 0).all()


def test_training_finds_the_mean_of_the_data():
    def only_a_mean(batch):
        mean = numpyro.param("mean", jnp.zeros(3))
        with numpyro.plate("data", batch.shape[0]):
            numpyro.sample("x", dist.Normal(mean, 0.5).to_event(1), obs=batch)

    svi = SVI(only_a_mean, lambda batch: None, optax.adam(3e-2), loss=Trace_ELBO())
    result = fit(svi, DATA, **SETTINGS | {"num_updates": 1500, "averaging": 0.99, "batch_size": 50})
    np.testing.assert_allclose(result.params["mean"], DATA.mean(axis=0), atol=1e-4)
    # At its best a unit-free Normal of the right width costs its cross-entropy, in bits per datum.
    nats = (0.5 * np.log(2 * np.pi * 0.25) + 0.5 * DATA.var(axis=0) / 0.25).sum()
    last = fit(svi, DATA, evaluate_every=1400, **SETTINGS | {"num_updates": 1500, "batch_size": 50}).metrics[-1]
    assert last["loss"] == pytest.approx(nats / np.log(2), rel=1e-4)


# --- updates that are not finite


def failing_svi(optimiser=None):
    """Batches that hold a value above 100 have a loss that is not finite; others train `mean`."""

    def spoilt(batch):
        mean = numpyro.param("mean", jnp.zeros(()))
        cost = jnp.where(batch.max() > 100, jnp.nan, jnp.sum((batch - mean) ** 2))
        numpyro.factor("cost", -cost)

    return SVI(spoilt, lambda batch: None, optimiser or optax.adam(1e-2), loss=Trace_ELBO())


def test_an_update_that_is_not_finite_is_dropped_and_counted():
    data = np.ones(20, np.float32)
    data[3] = 1000.0
    settings = SETTINGS | {"batch_size": 2, "num_updates": 100}
    result = fit(failing_svi(), data, evaluate_every=50, **settings)
    assert int(result.state.num_skipped) == 10  # once in each of ten epochs
    assert [row["skipped"] for row in result.metrics] == [5, 10]
    assert all(np.isfinite(row["loss"]) for row in result.metrics)
    assert int(result.state.num_updates) == 100
    assert int(result.state.svi_state.optim_state[0]) == 90
    assert 0.1 < result.params["mean"] < 1.0


@pytest.mark.parametrize("spoil", ["loss", "gradient", "optimiser"])
def test_a_dropped_update_changes_nothing_but_the_key_and_the_counts(spoil):
    def spoilt(batch):
        mean = numpyro.param("mean", jnp.ones(()))
        bad = batch.max() > 100
        # The square root has an infinite gradient at 0; 1e25 squared overflows Adam's second moment, and only that.
        cost = {
            "loss": jnp.where(bad, jnp.inf, mean**2),
            "gradient": jnp.sqrt(jnp.where(bad, mean - mean, mean**2)),
            "optimiser": jnp.where(bad, 1e25, 1.0) * mean,
        }[spoil]
        numpyro.factor("cost", -cost)
        mutable("calls", {"count": jnp.zeros(())})["count"] += 1

    svi = SVI(spoilt, lambda batch: None, optax.adam(1e-2), loss=Trace_ELBO())
    update = jax.jit(lambda state, batch: step(svi, state, batch))
    good, bad = jnp.ones(4), 1000 * jnp.ones(4)
    before, _ = update(init(svi, KEY, good), good)
    after, _ = update(before, bad)
    assert_same(before.svi_state._replace(rng_key=None), after.svi_state._replace(rng_key=None))
    assert_same(before.params, after.params)
    assert (jax.random.key_data(before.svi_state.rng_key) != jax.random.key_data(after.svi_state.rng_key)).any()
    counts = after.num_updates, after.num_skipped, after.num_skipped_in_a_row
    assert tuple(map(int, counts)) == (2, 1, 1)
    recovered, _ = update(after, good)
    assert (int(recovered.num_skipped), int(recovered.num_skipped_in_a_row)) == (1, 0)


def test_an_infinity_that_the_optimiser_starts_from_is_no_failure():
    optimiser = optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau())
    result = fit(failing_svi(optimiser), np.ones(20, np.float32), **SETTINGS)
    assert int(result.state.num_skipped) == 0


def test_training_stops_where_updates_stay_non_finite(tmp_path):
    def growing(batch):
        mean = numpyro.param("mean", jnp.ones(()))
        numpyro.factor("cost", jnp.where(mean > 2.05, jnp.nan, mean))

    svi = SVI(growing, lambda batch: None, optax.sgd(0.1), loss=Trace_ELBO())
    with pytest.raises(TrainingError, match=r"^update 22 is the last of 11 in a row .*optax.clip_by") as caught:
        fit(svi, np.ones(20), checkpoint_dir=tmp_path, max_skipped_in_a_row=10, **SETTINGS)
    assert "\n" not in str(caught.value)
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    saved, _ = checkpoint.load(newest, init(svi, KEY, np.ones(16)))
    assert float(svi.get_params(saved.svi_state)["mean"]) == pytest.approx(2.1)
    assert int(saved.num_skipped_in_a_row) == 0


def test_training_stops_where_parameters_overflow_and_saves_nothing(tmp_path):
    def sloping(batch):
        numpyro.factor("slope", -10.0 * numpyro.param("mean", jnp.ones(())))

    svi = SVI(sloping, lambda batch: None, optax.sgd(1e38), loss=Trace_ELBO())
    with pytest.raises(TrainingError, match=r"^parameters overflowed between updates 1 and 1: lower the learning rate"):
        fit(svi, DATA, checkpoint_dir=tmp_path, **SETTINGS)
    assert checkpoint.latest(tmp_path) is None


# --- the loop


def test_a_second_fit_compiles_nothing(caplog, tmp_path):
    svi = TINY
    settings = SETTINGS | {"evaluate": lambda params: {"scale": params["scale"].mean()}}
    fit(svi, DATA, **settings)
    fit(svi, DATA, checkpoint_dir=tmp_path, **settings | {"num_updates": 30})
    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        fit(svi, DATA, **settings | {"num_updates": 83, "key": jax.random.key(1)})
        fit(svi, DATA, checkpoint_dir=tmp_path, resume=True, **settings)
        assert not [record.message for record in caplog.records if "ompil" in record.message]
        fit(make_svi(), DATA, **settings)
        assert [record.message for record in caplog.records if "ompil" in record.message]


def test_metrics_have_a_row_per_evaluation():
    seen = []

    def evaluate(params):
        seen.append(params)
        return {"mean scale": params["scale"].mean(), "name": "a"}

    result = fit(TINY, DATA, evaluate=evaluate, evaluate_every=25, **SETTINGS)
    assert [row["update"] for row in result.metrics] == [25, 50, 60]
    assert [row["seconds"] for row in result.metrics] == sorted(row["seconds"] for row in result.metrics)
    # What `evaluate` was given is its own to keep.
    assert [row["mean scale"] for row in result.metrics] == [float(params["scale"].mean()) for params in seen]
    assert result.metrics[0]["loss"] > result.metrics[-1]["loss"]
    assert_same(seen[-1], result.params)
    assert not result.interrupted


def test_loss_in_nats_is_loss_in_bits_times_ln_2():
    bits, nats = (fit(TINY, DATA, unit=unit, **SETTINGS).metrics[-1]["loss"] for unit in ["bits", "nats"])
    assert nats == pytest.approx(bits * np.log(2), rel=1e-6)


def test_ctrl_c_saves_and_the_fit_goes_on_from_there(tmp_path, capsys):
    def press(params):
        os.kill(os.getpid(), signal.SIGINT)
        return {}

    before = signal.getsignal(signal.SIGINT)
    stopped = fit(TINY, DATA, evaluate=press, evaluate_every=20, checkpoint_dir=tmp_path, **SETTINGS)
    assert signal.getsignal(signal.SIGINT) is before
    assert stopped.interrupted
    assert int(stopped.state.num_updates) == 20
    assert "Ctrl-C again" in capsys.readouterr().err
    resumed = fit(TINY, DATA, evaluate_every=20, checkpoint_dir=tmp_path, resume=True, **SETTINGS)
    assert not resumed.interrupted
    assert_same(resumed.state, fit(TINY, DATA, **SETTINGS).state)


def test_a_second_ctrl_c_stops_at_once():
    def press(params):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(TINY, DATA, evaluate=press, evaluate_every=20, **SETTINGS)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_fit_may_run_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(fit(TINY, DATA, **SETTINGS)))
    thread.start()
    thread.join()
    assert int(results[0].state.num_updates) == 60


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_saves_and_then_takes_effect(tmp_path, monkeypatch, name):
    number = getattr(signal, name)
    reached = []
    before = signal.signal(number, lambda *_: reached.append(checkpoint.latest(tmp_path)))
    monkeypatch.setattr("sys.stderr", HungUp())

    def press(params):
        signal.raise_signal(number)
        signal.raise_signal(number)
        return {}

    settings = SETTINGS | {"progress": True}
    try:
        fit(TINY, DATA, evaluate=press, evaluate_every=20, checkpoint_dir=tmp_path, **settings)
    finally:
        signal.signal(number, before)
    assert [checkpoint.updates_of(path) for path in reached] == [20, 20]
    resumed = fit(TINY, DATA, evaluate_every=20, checkpoint_dir=tmp_path, resume=True, **settings)
    assert_same(resumed.state, fit(TINY, DATA, **SETTINGS).state)


class HungUp(io.StringIO):
    """Standard error of a terminal that has gone."""

    def write(self, text):
        raise OSError(errno.EIO, "Input/output error")


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = fit(TINY, DATA, evaluate=lambda _: os.kill(os.getpid(), signal.SIGHUP) or {}, **SETTINGS)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not result.interrupted


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_goes_to_stderr(capsys, monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    result = fit(TINY, DATA, **SETTINGS | {"progress": True})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("60/60" if terminal else "update 60 of 60: loss") in captured.err
    assert " bits" in captured.err
    assert result.state.num_updates == 60


def test_checkpoints_come_as_often_as_asked(tmp_path, monkeypatch):
    saved = []
    real = checkpoint.save_in
    monkeypatch.setattr(checkpoint, "save_in", lambda *args: saved.append(args[1]) or real(*args))
    fit(TINY, DATA, checkpoint_dir=tmp_path, checkpoint_every=25, **SETTINGS)
    assert saved == [25, 50, 60]


def test_checkpoints_come_after_seconds_and_then_every_minute(tmp_path, monkeypatch):
    """On a clock that moves a second per update, and like a coarse one stands still between."""
    saved, clock = [], SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(progress, "time", loop.time)
    monkeypatch.setattr(checkpoint, "save_in", lambda *args: saved.append(args[1]))

    def tick(rows):
        clock.now = float(rows[-1]["update"] if rows else 0)

    settings = SETTINGS | {"num_updates": 140, "progress": True}
    fit(TINY, DATA, checkpoint_dir=tmp_path, evaluate_every=1, on_metrics=tick, **settings)
    assert saved == [6, 67, 128, 140]


def test_metrics_are_told_as_they_come(tmp_path):
    told = []
    settings = SETTINGS | {"checkpoint_dir": tmp_path, "evaluate_every": 20}
    tell = {"on_metrics": lambda rows: told.append([row["update"] for row in rows])}
    fit(TINY, DATA, **tell, **settings | {"num_updates": 40})
    fit(TINY, DATA, **tell, resume=True, **settings)
    assert told == [[], [20], [20, 40], [20, 40], [20, 40, 60]]


# --- bad input

WITH_NAN = DATA.copy()
WITH_NAN[3, 1] = np.nan

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no updates": ({"num_updates": 0}, "num_updates: expected an integer of at least 1"),
    "empty batches": ({"batch_size": 0}, "batch_size"),
    "batches too large": ({"batch_size": 51}, "at most 50"),
    "averaging": ({"averaging": 1.0}, "averaging"),
    "averaging NaN": ({"averaging": float("nan")}, "averaging"),
    "chunk": ({"updates_per_chunk": 0}, "updates_per_chunk"),
    "evaluate_every": ({"evaluate_every": -1}, "evaluate_every"),
    "checkpoint_every": ({"checkpoint_every": 0}, "checkpoint_every"),
    "patience": ({"max_skipped_in_a_row": -1}, "max_skipped_in_a_row"),
    "unit": ({"unit": "bans"}, "bits"),
    "key": ({"key": 0}, "jax.random.key"),
    "resume": ({"resume": True}, "checkpoint_dir"),
    "no folder": ({"checkpoint_dir": "/dev/null/folder"}, "a folder that can be made"),
    "NaN": ({"dataset": WITH_NAN}, "dataset: expected finite values, got 1 NaN or infinite"),
    "infinite": ({"dataset": np.where(np.isnan(WITH_NAN), np.inf, DATA)}, "finite"),
    "no data": ({"dataset": DATA[:0]}, "at least one datum"),
    "a scalar": ({"dataset": np.float32(1.0)}, "scalar"),
    "words": ({"dataset": np.array(["a", "b"])}, "real numbers"),
    "objects": ({"dataset": np.array([None, 1.0])}, "real numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_line_before_training(name):
    change, message = BAD[name]
    arguments: dict[str, Any] = {"dataset": DATA, **SETTINGS, **change}
    with pytest.raises(InputError, match=message) as caught:
        fit(TINY, **arguments)
    assert "\n" not in str(caught.value)


OTHER_FITS: dict[str, tuple[dict[str, Any], str]] = {
    "batch_size": ({"batch_size": 8}, "batch_size: expected 16"),
    "averaging": ({"averaging": 0.5}, "averaging"),
    "key": ({"key": jax.random.key(9)}, "key"),
    "fewer updates": ({"num_updates": 10}, "at least the 60 done"),
    "not resumed": ({"resume": False}, "resume=True"),
}


@pytest.mark.parametrize("name", OTHER_FITS)
def test_only_the_same_fit_is_resumed(tmp_path, name):
    change, message = OTHER_FITS[name]
    fit(TINY, DATA, checkpoint_dir=tmp_path, **SETTINGS)
    again: dict[str, Any] = {"resume": True, **SETTINGS, **change}
    with pytest.raises(InputError, match=message):
        fit(TINY, DATA, checkpoint_dir=tmp_path, **again)


def altered(place):
    data = DATA.copy()
    data[place] += 1.0
    return data


@pytest.mark.parametrize("data", [7 * DATA + 3, altered(0), altered(-1), altered((17, 2))])
def test_only_a_fit_of_the_same_data_is_resumed(tmp_path, data):
    fit(TINY, DATA, checkpoint_dir=tmp_path, **SETTINGS)
    with pytest.raises(InputError, match=r"^data: expected .*, as in .*; resume with the settings"):
        fit(TINY, data, checkpoint_dir=tmp_path, resume=True, **SETTINGS)
    again = fit(TINY, jnp.asarray(DATA), checkpoint_dir=tmp_path, resume=True, **SETTINGS)
    assert again.metrics[-1]["update"] == 60


@pytest.mark.parametrize("resident", [True, False])
def test_large_data_are_known_by_some_of_their_rows(resident, monkeypatch):
    monkeypatch.setattr(batches, "_DIGESTED_BYTES", 4 * DATA[0].nbytes)
    one, other = (Noisy(resident) for _ in range(2))
    read = []
    monkeypatch.setattr(one, "rows", lambda places: read.extend(places) or DATA[places], raising=False)
    assert batches.digest(one) == batches.digest(other)
    assert sorted(set(read)) == [0, 16, 32, 49]


def test_a_fit_is_what_it_says_it_is_of(tmp_path):
    settings = SETTINGS | {"checkpoint_dir": tmp_path}
    fit(TINY, DATA, identity={"steps": 5, "law": {"edge": "fixed"}}, **settings)
    fit(TINY, DATA, identity={"steps": 5, "law": {"edge": "fixed"}}, resume=True, **settings)
    with pytest.raises(InputError, match=r"^law: expected .*fixed.* got .*learned"):
        fit(TINY, DATA, identity={"steps": 5, "law": {"edge": "learned"}}, resume=True, **settings)


def test_a_folder_is_for_one_fit_at_a_time(tmp_path):
    def second(params):
        with pytest.raises(InputError, match=r"^checkpoint_dir: expected .*no other process.*where one is"):
            fit(TINY, DATA, checkpoint_dir=tmp_path, resume=True, **SETTINGS)
        return {}

    fit(TINY, DATA, checkpoint_dir=tmp_path, evaluate=second, **SETTINGS)
    fit(TINY, DATA, checkpoint_dir=tmp_path, resume=True, **SETTINGS)


def test_only_the_same_optimiser_is_resumed(tmp_path):
    fit(TINY, DATA, checkpoint_dir=tmp_path, **SETTINGS)
    with pytest.raises(InputError, match="optimiser"):
        fit(make_svi(optax.sgd(1e-2)), DATA, checkpoint_dir=tmp_path, resume=True, **SETTINGS)
