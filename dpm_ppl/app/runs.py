"""The work of a run: training it, from where it stands, and scoring what it has trained."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from dpm_ppl import training
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import replacing
from dpm_ppl.app.directories import (
    DATA_FACTS,
    PACKAGES,
    Run,
    alone,
    check_continues,
    create,
    ended,
    extended,
    is_run,
    open_run,
)
from dpm_ppl.estimates.standard_errors import Estimate, finite_or_none
from dpm_ppl.evaluation import Keys, evaluate
from dpm_ppl.experiments.experiment import Experiment
from dpm_ppl.experiments.streams import Stream, key_of
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.training import checkpoint
from dpm_ppl.training.batches import as_data, digest
from dpm_ppl.training.resuming import check_settings

__all__ = [
    "PACKAGES",
    "Run",
    "alone",
    "check_continues",
    "choice",
    "create",
    "ended",
    "extended",
    "fit",
    "is_run",
    "metrics",
    "open_run",
    "trained",
    "updates_done",
]

EVALUATIONS = 10
"""In the course of a fit."""
HELDOUT_POINTS = 100
"""Held-out data that an evaluation looks at, where no validation data choose parameters; `bounds` looks at all."""


def fit(run: Run, experiment: Experiment, *, resume: bool = False, progress: bool = True) -> training.FitResult:
    """Train the experiment in its run directory; with `resume`, from the newest checkpoint on, bit for bit.

    **Raises:** `KeyboardInterrupt` where Ctrl-C has ended it, saved.
    """
    if experiment.task.data_facts is not None:
        with replacing(run.path / DATA_FACTS) as file:
            file.write((json.dumps(experiment.task.data_facts) + "\n").encode())
    begun = resume and checkpoint.latest(run.checkpoints) is not None
    recipe = experiment.recipe
    started = recipe if begun else recipe.started(experiment.task.train, key_of(run.seed, Stream.START))
    result = training.fit(
        run.svi(replace(experiment, recipe=started)),
        experiment.task.batches,
        num_updates=run.num_updates,
        batch_size=experiment.recipe.batch_size,
        key=jax.random.key(run.seed),
        averaging=experiment.recipe.averaging,
        evaluate=_evaluation(experiment, run.seed),
        evaluate_every=max((run.num_scheduled or run.num_updates) // EVALUATIONS, 1),
        on_metrics=partial(_write_metrics, run),
        keep_best=None if experiment.task.validation is None else "K",
        patience=run.patience,
        checkpoint_dir=run.checkpoints,
        resume=resume,
        identity=run.identity,
        progress=progress,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def choice(metrics: list[dict[str, Any]], unit: str) -> str:
    """Which parameters are kept, in words; `unit` is that of K."""
    best = max(metrics, key=lambda row: -np.inf if row["K"] is None or np.isnan(row["K"]) else row["K"])
    K = Estimate(best["K"], best["K_se"], 0)
    return (
        f"kept the parameters of update {best['update']:,}: of the {len(metrics)} that were tried, their K of the "
        f"validation data is the highest, {K.plus_minus()} {unit}"
    )


def trained(run: Run, experiment: Experiment) -> tuple[AbstractMethod, int]:
    """The method with the averaged parameters of the newest checkpoint, and the number of updates behind these.

    **Raises:** `InputError` where there is none, or it is of something else than `run.json` says, or of other data than
    the experiment has today, whose held-out part may be what it was trained on.
    """
    newest = checkpoint.latest(run.checkpoints)
    if newest is None:
        raise InputError(
            "run", expected="a run with a checkpoint", got=f"none in {run.checkpoints}", remedy="fit it with --resume"
        )
    meta = checkpoint.read_meta(newest)
    check_settings(newest, meta, run.identity)
    _check_data(run, experiment, meta.get("settings", {}).get("data"))
    rows = experiment.task.train.rows(np.arange(1))
    keep_best = experiment.task.validation is not None
    like = training.init(run.svi(experiment), jax.random.key(run.seed), rows, keep_best=keep_best)
    state, _ = checkpoint.load(newest, like)
    return experiment.recipe.method.with_params(state.chosen), checkpoint.updates_of(newest)


def _check_data(run: Run, experiment: Experiment, trained_on: str | None) -> None:
    data_are_there = experiment.task.data_facts is None or run.missing is None
    if data_are_there and trained_on is not None and trained_on != digest(as_data(experiment.task.batches)):
        raise InputError(
            "run",
            expected=f"training data as {experiment.name} has them today",
            got=f"others in {run.path}, made by another version",
            remedy="fit it again in a new directory, or open it with the version that made it",
        )


def metrics(run: Run) -> list[dict[str, Any]]:
    """The rows of the evaluations so far; those of the newest checkpoint where their file is damaged."""
    path = run.path / "metrics.jsonl"
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []
    except ValueError:
        newest = checkpoint.latest(run.checkpoints)
        warnings.warn(f"{path} is damaged; its rows are read from {newest}", stacklevel=2)
        return [] if newest is None else [_as_json(row) for row in checkpoint.read_meta(newest)["record"]["rows"]]


def updates_done(run: Run) -> int:
    """Updates behind the newest checkpoint; fewer than `run.num_updates` where the fit was stopped."""
    newest = checkpoint.latest(run.checkpoints)
    return 0 if newest is None else checkpoint.updates_of(newest)


def _evaluation(experiment: Experiment, seed: int) -> Callable[[dict[str, Any]], dict[str, float]]:
    if experiment.task.validation is None:
        part = experiment.task.heldout.part(slice(HELDOUT_POINTS))
    else:
        part = experiment.task.validation.part(slice(experiment.task.num_validated))
    key, task = key_of(seed, Stream.EVALUATION), experiment.task
    how = {"num_draws": 1, "num_sampled_steps": task.num_sampled_steps, "datum": task.datum}

    def evaluate_params(params: dict[str, Any]) -> dict[str, float]:
        method = experiment.recipe.method.with_params(params)
        scores = evaluate(method, part, Keys(key, key, key), **how).scores
        values = {"K": scores.K, "bits_per_dim": scores.bits_per_dim}
        return {
            name + suffix: number
            for name, value in values.items()
            if value is not None
            for suffix, number in (("", value.mean), ("_se", value.se))
        }

    return evaluate_params


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: finite_or_none(value) for name, value in row.items()}


def _write_metrics(run: Run, rows: list[dict[str, Any]]) -> None:
    lines = (json.dumps(_as_json(row)) for row in rows)
    with replacing(run.path / "metrics.jsonl") as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
