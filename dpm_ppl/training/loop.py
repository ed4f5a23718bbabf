"""Training of any NumPyro `SVI` whose model and guide take one argument, a batch of data.

`fit` runs chunks of updates in one compiled loop. The batches, their noise and so the result depend on the key and the
numbers of the updates alone: not on how the updates are grouped into chunks, nor on whether the data are streamed, nor
on how often the fit was stopped and resumed. For a loop of one's own there are `init` and `step`.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import SVI

from dpm_ppl._common.checks import check_key, check_names, number_in, one_of, whole_number
from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl._common.files import alone_in
from dpm_ppl._common.interruption import interruptible
from dpm_ppl._common.progress import progress_display
from dpm_ppl.methods.refusals import outside_of
from dpm_ppl.methods.sites import sites_of
from dpm_ppl.training import checkpoint
from dpm_ppl.training.batches import ArrayData, Batches, as_data, check_data, digest, draw_of
from dpm_ppl.training.devices import agreed, is_first_process, on_every_device, on_one_device
from dpm_ppl.training.resuming import Record, newest_in, restored_from
from dpm_ppl.training.updates import TrainingState, chunk_program, init, step, zero

__all__ = ["FitResult", "TrainingState", "fit", "init", "step"]

_FIRST_CHECKPOINT_SECONDS, _CHECKPOINT_SECONDS = 5.0, 60.0
_NATS_PER_UNIT = {"bits": math.log(2.0), "nats": 1.0}


class FitResult(NamedTuple):
    """How a fit ended: its state, the averaged parameters, a row of metrics per evaluation, and whether by Ctrl-C.

    The parameters are those of the last update or, with `keep_best`, of the best evaluation.

    A row holds `update`, `seconds` (of training so far), `loss` (mean over the period, per datum, in the unit of the
    fit), `skipped` (so far) and what `evaluate` gave.
    """

    state: TrainingState
    params: dict[str, Any]
    metrics: list[dict[str, Any]]
    interrupted: bool

    def __repr__(self) -> str:
        parts = f"num_updates={int(self.state.num_updates)}, params of {sorted(self.params)}, {len(self.metrics)} rows"
        return f"FitResult({parts}, interrupted={self.interrupted})"


def fit(
    svi: SVI,
    dataset: Any,
    *,
    num_updates: int,
    batch_size: int,
    key: Any,
    averaging: float = 0.999,
    updates_per_chunk: int | None = None,
    evaluate: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    evaluate_every: int | None = None,
    on_metrics: Callable[[list[dict[str, Any]]], None] | None = None,
    keep_best: str | None = None,
    patience: int | None = None,
    min_gain: float = 0.0,
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    identity: dict[str, Any] | None = None,
    max_skipped_in_a_row: int = 50,
    progress: bool = True,
    unit: str = "bits",
) -> FitResult:
    """Runs `num_updates` updates on batches of `dataset`, an array (N, *event) or an object like `Data`.

    Every epoch passes once over the data, in a new order. `evaluate` is called with the averaged parameters every
    `evaluate_every` updates and at the end, and what it returns (names to floats) goes into the metrics, all of which
    so far `on_metrics` is given at the start and after each evaluation. At most `updates_per_chunk` updates run between
    two looks at Ctrl-C and the clock, and fewer where they are slow: chunks take at most about five seconds.

    `keep_best` is the name of one of the values that `evaluate` returns. It is then called before the first update too,
    and the parameters with which that value was highest are those of the result. With `patience` the fit ends early,
    once so many evaluations in a row have not raised it by more than `min_gain`.

    With `checkpoint_dir`, the state is saved there every `checkpoint_every` updates (if None, after five seconds and
    then every minute), when interrupted and at the end; `resume=True` continues bit for bit from the newest checkpoint,
    or begins where there is none. It must be the same fit: settings, key, data, and `identity`, JSON values by name
    that say what else it is of. Another process that uses the folder is kept out. The first Ctrl-C ends the fit after
    the current chunk, saved; so do SIGTERM and SIGHUP, which then end the process.

    Raises `InputError` before training where an argument cannot be used or the data are not finite, and
    `TrainingError`, after saving, where more than `max_skipped_in_a_row` updates in a row were not finite.
    """
    data, key = as_data(dataset), check_key(key)
    check_data(data)
    num_updates = _count("num_updates", num_updates)
    batch_size = _count("batch_size", batch_size, most=data.num_points)
    max_skipped_in_a_row = _count("max_skipped_in_a_row", max_skipped_in_a_row, least=0)
    updates_per_chunk = _count("updates_per_chunk", updates_per_chunk, optional=True)
    evaluate_every = _count("evaluate_every", evaluate_every, optional=True)
    checkpoint_every = _count("checkpoint_every", checkpoint_every, optional=True)
    patience = _count("patience", patience, optional=True)
    about = {"expected": "a number in [0, 1)", "remedy": "use 0.999, or 0 for none"}
    averaging = number_in("averaging", averaging, 0, 1, closed="low", **about)
    min_gain = number_in(
        "min_gain", min_gain, 0, closed="low", expected="a finite number >= 0", remedy="0 counts every rise"
    )
    one_of("unit", unit, _NATS_PER_UNIT)
    if keep_best is not None and evaluate is None:
        raise InputError("keep_best", expected="an evaluation to go by", got="no evaluate", remedy="pass evaluate")
    if patience is not None and keep_best is None:
        raise InputError("patience", expected="keep_best, the value to go by", got="none", remedy="pass keep_best")
    if resume and checkpoint_dir is None:
        raise InputError("checkpoint_dir", expected="a folder to resume from", got=None, remedy="name the folder")

    data_key = jax.random.split(key)[1]
    batches = Batches(data, batch_size, data_key, updates_per_chunk)
    first = data.draw(batches.first, jax.random.fold_in(data_key, 0))
    state = init(svi, key, first, keep_best=keep_best is not None)
    _check_support(svi, state, first, data.values if isinstance(data, ArrayData) else first)
    record = Record()
    settings = {"num_points": data.num_points, "batch_size": batch_size, "averaging": averaging, "unit": unit}
    if checkpoint_dir is not None:
        settings |= {**(identity or {}), "data": digest(data)}
    newest = None if checkpoint_dir is None else newest_in(Path(checkpoint_dir), resume)
    if newest is not None:
        state, record = restored_from(newest, state, settings, num_updates)

    def save() -> None:
        if checkpoint_dir is not None and is_first_process():
            meta = {"settings": settings, "record": dataclasses.asdict(record)}
            checkpoint.save_in(checkpoint_dir, int(state.num_updates), state, meta)

    done = int(state.num_updates)
    run_chunk, state, draw = chunk_program(svi, averaging), *on_every_device((state, draw_of(data)))
    chunks = batches.chunks(done, num_updates, evaluate_every, checkpoint_every)
    chunk = next(chunks, None)
    interrupted = False
    next_save = time.monotonic() + _FIRST_CHECKPOINT_SECONDS
    shown = progress_display(progress and is_first_process(), total=num_updates, done=done, unit=unit)
    with _alone(checkpoint_dir), interruptible("updates") as stop, shown as show:
        if keep_best is not None and not record.rows:
            state = _looked_at(state, record, evaluate, keep_best)
        if on_metrics is not None:
            on_metrics(record.rows)
        ended = _is_over(record.rows, keep_best, patience, min_gain)
        while chunk is not None and not interrupted and not ended:
            began = time.monotonic()
            rows, length = chunk
            state, finite, losses, in_a_row = run_chunk(state, rows, length, draw)
            chunk = next(chunks, None)  # gathered on the host while the device works
            losses, in_a_row = np.asarray(losses)[:length], np.asarray(in_a_row)[:length]
            seconds = agreed(time.monotonic() - began)
            batches.adapt(seconds, int(length))
            loss = record.add(losses[in_a_row == 0] / (batch_size * _NATS_PER_UNIT[unit]), seconds)
            failure = _failure(done, in_a_row, bool(finite), max_skipped_in_a_row)
            if failure is not None:
                if finite:  # otherwise the older checkpoints are the better ones
                    state = state._replace(num_skipped_in_a_row=zero())
                    save()
                raise failure
            done += int(length)
            num_skipped = int(state.num_skipped)
            show(done, loss=loss, skipped=num_skipped)
            if _due(done, evaluate_every, num_updates):
                state = _looked_at(state, record, evaluate, keep_best)
                ended = _is_over(record.rows, keep_best, patience, min_gain)
                if on_metrics is not None:
                    on_metrics(record.rows)
            interrupted = bool(agreed(float(stop()))) and done < num_updates
            late = checkpoint_every is None and time.monotonic() > next_save
            if interrupted or ended or late or _due(done, checkpoint_every, num_updates):
                save()
                next_save = time.monotonic() + _CHECKPOINT_SECONDS
    state = on_one_device(state)
    return FitResult(state, state.chosen, record.rows, interrupted)


def _looked_at(
    state: TrainingState, record: Record, evaluate: Callable[..., dict[str, Any]] | None, keep_best: str | None
) -> TrainingState:
    """The state after an evaluation, which goes into the record; with these parameters as its best if they are."""
    # Copies, because the loop gives the buffers of its state away.
    values = {} if evaluate is None else evaluate(on_one_device(jax.tree.map(jnp.copy, state.params)))
    record.close_period(int(state.num_updates), int(state.num_skipped), values)
    if keep_best is None:
        return state
    check_names("keep_best", [keep_best], values, remedy="name a value that evaluate gives")
    *earlier, newest = (row[keep_best] for row in record.rows)
    is_best = newest > max((value for value in earlier if not math.isnan(value)), default=-math.inf)
    return state._replace(best=jax.tree.map(jnp.copy, state.params)) if is_best else state


def _is_over(rows: list[dict[str, Any]], keep_best: str | None, patience: int | None, min_gain: float) -> bool:
    """Whether `patience` evaluations have followed the last that raised the value by more than `min_gain`."""
    if keep_best is None or patience is None:
        return False
    values = [-math.inf if math.isnan(row[keep_best]) else row[keep_best] for row in rows]
    highest, since = values[0], 0
    for value in values[1:]:
        raised = value > highest + min_gain
        highest, since = (value, 0) if raised else (highest, since + 1)
    return since >= patience


def _due(done: int, every: int | None, last: int) -> bool:
    return done == last or (every is not None and done % every == 0)


def _alone(folder: str | Path | None) -> contextlib.AbstractContextManager[None]:
    if folder is None or not is_first_process():
        return contextlib.nullcontext()
    return alone_in(Path(folder), "checkpoint_dir")


def _failure(done: int, in_a_row: np.ndarray, finite: bool, allowed: int) -> TrainingError | None:
    remedy = "lower the learning rate, clip gradients with optax.clip_by_global_norm, or check the data"
    if not finite:
        return TrainingError(f"parameters overflowed between updates {done + 1} and {done + in_a_row.size}", remedy)
    if in_a_row.max() <= allowed:
        return None
    update = done + 1 + int(np.argmax(in_a_row > allowed))
    failure = f"update {update} is the last of {allowed + 1} in a row with a loss or gradient that is not finite"
    return TrainingError(failure, remedy)


def _check_support(svi: SVI, state: TrainingState, batch: Any, values: Any) -> None:
    """Raise `InputError` where values lie outside the support of the site that observes the batch, if one does."""
    if not isinstance(batch, jax.Array):
        return
    model = partial(svi.model, **svi.static_kwargs)
    outside = outside_of(sites_of(model, svi.get_params(state.svi_state), batch), np.asarray(values))
    if outside is not None:
        raise InputError(
            "dataset",
            expected="data that the model can observe",
            got=outside,
            remedy="convert the data, for example 0/255 to bits, or observe them by another law",
        )


def _count(name: str, count: Any, *, least: int = 1, most: int | None = None, optional: bool = False) -> Any:
    """The count as Python's integer, or None where that is allowed; raises `InputError` where it is out of range."""
    if count is None and optional:
        return None
    expected = f"an integer of at least {least}" + ("" if most is None else f" and at most {most}, the data")
    return whole_number(name, count, least=least, most=most, expected=expected, remedy="change it")
