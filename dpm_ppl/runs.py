"""Run directories: everything needed to tell what was fitted, how, with what, and to go on from there.

RUN/run.json          experiment, options, seed, number of updates, versions, device
RUN/checkpoints/      the newest states of the training
RUN/metrics.jsonl     a row per evaluation
RUN/likelihood/       sums of the importance weights that `bounds` has drawn
RUN/pictures/         what `fit` draws
"""

import inspect
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dpm_ppl import checkpoint, training
from dpm_ppl._errors import InputError
from dpm_ppl._files import replacing
from dpm_ppl.data import Dataset
from dpm_ppl.estimates import finite_or_none
from dpm_ppl.experiment import DIFFUSION, OF_THE_DIFFUSION, Experiment
from dpm_ppl.programs import Method
from dpm_ppl.scores import Scores, score

FORMAT, OLD_FORMAT = "dpm-ppl run 2", "dpm-ppl run"
PACKAGES = ("dpm-ppl", "numpyro", "jax", "equinox", "optax", "numpy")
EVALUATIONS = 5
"""Held-out evaluations in the course of a fit."""
EVALUATION_POINTS = 200
"""Held-out data that each of them looks at; the scores of `bounds` look at all."""

NO_OPTIONS = ("seed", "digest")
"""What an experiment is declared with beside the options of its own."""
KINDS = {"experiment": str, "options": dict, "seed": int, "num_updates": int}

LAST_SEED = 2**32 - 1
"""JAX drops what a seed has above 32 bits."""

Declare = Callable[..., Experiment]


@dataclass(frozen=True)
class Run:
    """One fit of one experiment and the directory where it lives."""

    path: Path
    experiment: str
    options: dict[str, Any]
    seed: int
    num_updates: int
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        """Where the states of the training are."""
        return self.path / "checkpoints"

    @property
    def pictures(self) -> Path:
        """Where its pictures go."""
        return self.path / "pictures"

    @property
    def name(self) -> str:
        """The experiment, and the method where it is not the diffusion."""
        method = self.options.get("method", DIFFUSION)
        return self.experiment if method == DIFFUSION else f"{self.experiment}, {method}"

    def declare(self, zoo: dict[str, Declare]) -> Experiment:
        """The experiment, declared anew from its name, options and seed."""
        return declare(zoo, self.experiment, self.options, self.seed)


def declare(zoo: dict[str, Declare], name: str, options: dict[str, Any], seed: int = 0) -> Experiment:
    """The experiment `name` of the zoo with these options and this seed.

    **Raises:** `InputError` for an unknown experiment, an option it does not have and a seed out of range.
    """
    if name not in zoo:
        raise InputError(
            "experiment",
            expected=f"one of {', '.join(zoo)}",
            got=repr(name),
            remedy="'dpm-ppl list' describes them; 'array' fits data of your own",
        )
    check_range("--seed", seed, 0, LAST_SEED)
    known = options_of(zoo[name])
    for option in options:
        if option not in (*known, "digest"):
            raise InputError(
                flag(option),
                expected=f"an option of {name} ({', '.join(map(flag, known))})",
                got="one it does not have",
                remedy="leave it out, or choose another experiment",
            )
    method = options.get("method", DIFFUSION)
    for option in OF_THE_DIFFUSION:
        if option in options and method != DIFFUSION:
            raise InputError(
                flag(option), expected=f"none with --method {method}", got=options[option], remedy="leave it out"
            )
    return zoo[name](**options, seed=seed)


def options_of(function: Declare) -> tuple[str, ...]:
    """Names of the options that an experiment of the zoo takes from a user."""
    return tuple(name for name in inspect.signature(function).parameters if name not in NO_OPTIONS)


def flag(option: str) -> str:
    """An option as it is written on the command line."""
    return "--" + option.replace("_", "-")


def create(path: Path, experiment: Experiment, *, num_updates: int) -> Run:
    """A new run directory, of the experiment's seed.

    **Raises:** `InputError` where the directory already holds something or cannot be made, and for a number of updates
    out of range.
    """
    check_range("--updates", num_updates, 1)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            "--out",
            expected="a new or empty directory",
            got=f"{path}, which holds {'another run' if (path / 'run.json').exists() else 'other files'}",
            remedy="name another directory, or continue a run with --resume",
        )
    run = Run(path, experiment.name, experiment.options, experiment.seed, num_updates, _environment())
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--out", expected="a directory that can be made", got=error, remedy="name another") from error
    _write_atomically(path / "run.json", json.dumps({"format": FORMAT, **_without_path(run)}, indent=2) + "\n")
    return run


def open_run(path: Path, argument: str = "run") -> Run:
    """The run in a directory.

    **Raises:** `InputError` where there is none, or the file that describes it is foreign or damaged.
    """
    description = path / "run.json"
    if not description.is_file():
        raise InputError(
            argument,
            expected="a run directory, made by 'dpm-ppl fit'",
            got=f"{path}, which {'has no run.json' if path.is_dir() else 'is no directory'}",
            remedy="check the path, or fit an experiment first",
        )
    try:
        content = json.loads(description.read_text())
        found = content.pop("format")
        if found not in (FORMAT, OLD_FORMAT):
            raise KeyError("format")
        if not all(isinstance(content[name], kind) for name, kind in KINDS.items()):
            raise TypeError("kinds")
        run = Run(path, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            argument,
            expected=f"the description of a run in {description}",
            got=f"a damaged or foreign file ({type(error).__name__})",
            remedy="name another run, or fit again into a new directory",
        ) from error
    if found == OLD_FORMAT:
        raise InputError(
            argument,
            expected="a run whose seed decides data, network and training",
            got=f"{path}, made by an older version, whose seed decided the training alone",
            remedy="fit it again into a new directory",
        )
    return run


def check_continues(run: Run, **asked: Any) -> None:
    """Raise `InputError` where what is asked for is not what the run began with; None asks for nothing.

    `asked` are `experiment`, `seed`, `updates` and options of the experiment.
    """
    begun = {"experiment": run.experiment, "seed": run.seed, "updates": run.num_updates, **run.options}
    for name, value in asked.items():
        if value is not None and (name not in begun or begun[name] != value):
            raise InputError(
                name if name == "experiment" else flag(name),
                expected=f"{begun.get(name, 'none')}, with which the run in {run.path} began",
                got=value,
                remedy="leave it out to continue that run, or fit into a new directory",
            )


def check_range(argument: str, value: int, least: int, most: int | None = None) -> None:
    """Raise `InputError` unless `least <= value <= most`."""
    if value < least or (most is not None and value > most):
        expected = f"at least {least}" + ("" if most is None else f" and at most {most}")
        raise InputError(argument, expected=expected, got=value, remedy="leave it out for the default")


def fit(run: Run, experiment: Experiment, *, resume: bool = False, progress: bool = True) -> training.FitResult:
    """Train the experiment in its run directory; with `resume`, from the newest checkpoint on, bit for bit."""
    every = max(run.num_updates // EVALUATIONS, 1)
    result = training.fit(
        experiment.svi(run.num_updates),
        experiment.train,
        num_updates=run.num_updates,
        batch_size=experiment.batch_size,
        key=jax.random.key(run.seed),
        averaging=experiment.averaging,
        evaluate=_evaluation(experiment, run.seed),
        evaluate_every=every,
        checkpoint_dir=run.checkpoints,
        resume=resume,
        progress=progress,
    )
    rows = ({name: finite_or_none(value) for name, value in row.items()} for row in result.metrics)
    _write_atomically(run.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return result


def trained(run: Run, experiment: Experiment) -> Method:
    """The method with the averaged parameters of the newest checkpoint."""
    newest = checkpoint.latest(run.checkpoints)
    if newest is None:
        raise InputError(
            "run", expected="a run with a checkpoint", got=f"none in {run.checkpoints}", remedy="fit it with --resume"
        )
    rows = experiment.train.rows(np.arange(1))
    like = training.init(experiment.svi(run.num_updates), jax.random.key(run.seed), rows)
    state, _ = checkpoint.load(newest, like)
    return experiment.method.with_params(state.params)


def updates_done(run: Run) -> int:
    """Updates behind the newest checkpoint; fewer than `run.num_updates` where the fit was stopped."""
    newest = checkpoint.latest(run.checkpoints)
    return 0 if newest is None else checkpoint.updates_of(newest)


def standing(run: Run) -> str:
    """Where a fit was stopped, in words; nothing where it has ended."""
    done = updates_done(run)
    return f"{run.path} stands at update {done:,} of {run.num_updates:,}" if done < run.num_updates else ""


def score_heldout(run: Run, experiment: Experiment, method: Method, *, num_draws: int | None = None) -> Scores:
    """Scores of a trained method on all held-out data."""
    return score(
        method,
        experiment.heldout,
        jax.random.fold_in(jax.random.key(run.seed), 10),  # not 1: that is how `fit` splits off a key of its own
        num_draws=experiment.num_draws if num_draws is None else num_draws,
        datum=experiment.datum,
        exact=experiment.exact,
    )


def _evaluation(experiment: Experiment, seed: int) -> Callable[[dict[str, Any]], dict[str, float]]:
    part = _first_points(experiment.heldout)
    key = jax.random.fold_in(jax.random.key(seed), 2)

    def evaluate(params: dict[str, Any]) -> dict[str, float]:
        scores = score(experiment.method.with_params(params), part, key, num_draws=1, datum=experiment.datum)
        values = {"K": scores.K, "bits_per_dim": scores.bits_per_dim}
        return {
            name + suffix: number
            for name, value in values.items()
            if value is not None
            for suffix, number in (("", value.mean), ("_se", value.se))
        }

    return evaluate


def _first_points(data: Dataset) -> Dataset:
    return Dataset(data.source[:EVALUATION_POINTS], data.units, data.resident)


def _environment() -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "device": f"{device.platform}: {device.device_kind}",
    }


def _without_path(run: Run) -> dict[str, Any]:
    return {name: value for name, value in asdict(run).items() if name != "path"}


def _write_atomically(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())
