"""How a run came about, as the pages say it: command, date, network, and everything it was configured with."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

from dpm_ppl.analysis.page.page import PageSettings
from dpm_ppl.app import runs
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.models import EXPERIMENTS


def data_name(trained: OpenedRun) -> str:
    """What a reader calls the data: the name of their file, or of the experiment."""
    files = [trained.run.options.get(name) for name in trained.run.files]
    return Path(files[0]).name if files and files[0] is not None else trained.run.experiment


def settings(trained: OpenedRun, name: str = "") -> PageSettings:
    """Of one run, what is known of it."""
    run, experiment = trained.run, trained.experiment
    values: dict[str, Any] = {
        "command": command_of(run),
        "date": f"{datetime.fromtimestamp((run.path / 'run.json').stat().st_mtime):%Y-%m-%d %H:%M}",
        "experiment": run.experiment,
        "network": network_of(trained),
        "learning rate": getattr(experiment.recipe.optimiser, "keywords", {}).get("learning_rate"),
        **{name.replace("_", " "): value for name, value in run.options.items() if name != "learning_rate"},
        "seed": run.seed,
        "updates": f"{run.num_updates:,}",
        "updates done": f"{trained.num_updates_done:,}",
        "batch size": experiment.recipe.batch_size,
        "training data": f"{experiment.task.train.num_points:,}",
        "validation data": None if experiment.task.validation is None else f"{experiment.task.validation.num_points:,}",
        "held-out data": f"{experiment.task.heldout.num_points:,}",
        "device": run.environment.get("device", "unknown"),
        **run.environment.get("versions", {}),
    }
    return PageSettings({key: value for key, value in values.items() if value is not None}, name or run.name)


def command_of(run: runs.Run) -> str:
    """The command that makes the same run: what differs from the defaults of its experiment."""
    words = ["dpm-ppl", "fit", run.experiment]
    for option in EXPERIMENTS[run.experiment].all():
        value = run.options.get(option.name)
        if value is not None and value != option.default:
            words += [option.flag, str(value)]
    words += ["--updates", str(run.num_updates), "--seed", str(run.seed), "--out", str(run.path)]
    return shlex.join(words)


def network_of(trained: OpenedRun) -> str:
    """The kind of the network, or the method, and how many parameters were trained."""
    diffusion = trained.method.chain
    kind = trained.method_name if diffusion is None else type(diffusion.network).__name__
    parameters = eqx.filter(trained.method if diffusion is None else diffusion.network, eqx.is_inexact_array)
    return f"{kind}, {sum(array.size for array in jax.tree.leaves(parameters)):,} parameters"
