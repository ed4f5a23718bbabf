"""Run directories: everything needed to tell what was fitted, how, with what, and to go on from there.

RUN/run.json          experiment, options, seed, number of updates, versions, device
RUN/data.json         units and columns of data that came from a file
RUN/checkpoints/      the newest states of the training
RUN/metrics.jsonl     a row per evaluation, as they come
RUN/scores/           draws of K of the held-out data
RUN/likelihood/       sums of the importance weights that `bounds` has drawn
RUN/pictures/         what `fit` draws
"""

import contextlib
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from numpyro.infer import SVI

from dpm_ppl import experiments
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import alone_in, is_unused, make_folder, replacing
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import DIFFUSION, Zoo, check_range, flag
from dpm_ppl.models import EXPERIMENTS

FORMAT, OLD_FORMAT = "dpm-ppl run 2", "dpm-ppl run"
PACKAGES = ("dpm-ppl", "numpyro", "jax", "equinox", "optax", "numpy")
DATA_FACTS = "data.json"
KINDS = {"experiment": str, "options": dict, "seed": int, "num_updates": int}


@dataclass(frozen=True)
class Run:
    """One fit of one experiment and the directory where it lives.

    `num_scheduled` are the updates first asked for, over which the learning rate falls; None where no more have been
    asked for since, nor fewer were enough. `patience` is that of `fit`: how many evaluations without a better K of the
    validation data end the training.
    """

    path: Path
    experiment: str
    options: dict[str, Any]
    seed: int
    num_updates: int
    environment: dict[str, Any] = field(default_factory=dict)
    num_scheduled: int | None = None
    patience: int | None = None

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

    def standing(self, num_updates_done: int) -> str:
        """Where its fit was stopped, in words; nothing where it has ended."""
        if num_updates_done >= self.num_updates:
            return ""
        return f"{self.path} stands at update {num_updates_done:,} of {self.num_updates:,}"

    @property
    def files(self) -> list[str]:
        """Its options that say where data are; which they are their digest says."""
        options = EXPERIMENTS[self.experiment].all() if self.experiment in EXPERIMENTS else []
        return [option.name for option in options if option.is_file]

    @property
    def identity(self) -> dict[str, Any]:
        """What its checkpoints belong to, as JSON."""
        options = {flag(name): value for name, value in self.options.items() if name not in self.files}
        settings = {"experiment": self.experiment, "--seed": self.seed, **options}
        versions = {f"{name} version": value for name, value in self.environment.get("versions", {}).items()}
        return json.loads(json.dumps(settings | versions))

    def declare(self, zoo: Zoo, data: Path | None = None) -> Experiment:
        """The experiment, declared anew from its name, options and seed; `data` says where its data are now.

        **Raises:** `InputError` where its data are no longer where they were, or are others.
        """
        if data is None and self.missing is not None:
            raise InputError(
                "--data",
                expected=f"the data of {self.path} where they were, {self.missing}",
                got="no such file",
                remedy="say where they are now: --data FILE, with a test file beside it",
            )
        return experiments.declare(zoo, self.experiment, self.options | self._moved(data), self.seed)

    def _moved(self, data: Path | None) -> dict[str, str]:
        """Where its files are now: the first of them, and others that are gone beside it."""
        if data is None:
            return {}
        first, *others = self.files
        moved = {first: str(data.resolve())}
        for name in others:
            if (file := self.options.get(name)) is not None and not Path(file).exists():
                moved[name] = str(data.resolve().parent / Path(file).name)
        return moved

    def declare_to_draw(self, zoo: Zoo, data: Path | None = None) -> Experiment:
        """The same, with data that stand in for those that are missing: for all that only draws from what is trained.

        **Raises:** `InputError` where the data are missing, and what is known of them too.
        """
        known = self.path / DATA_FACTS
        if data is not None or self.missing is None or not known.is_file():
            return self.declare(zoo, data)
        options = self.options | {"data_facts": json.loads(known.read_text())}
        return experiments.declare(zoo, self.experiment, options, self.seed)

    @property
    def missing(self) -> Path | None:
        """A file of its data that is no longer where it was."""
        files = [Path(self.options[name]) for name in self.files if self.options.get(name) is not None]
        return next((file for file in files if not file.exists()), None)

    def svi(self, experiment: Experiment) -> SVI:
        """The experiment's program for NumPyro, its learning rate as in this run."""
        return experiment.recipe.svi(self.num_scheduled or self.num_updates)


def is_run(path: Path) -> bool:
    """Whether there is a run in a directory."""
    return (path / "run.json").exists()


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """The directory of a run, or of one to be, for this process alone.

    **Raises:** `InputError` where it cannot be made, holds something else, or another process is at work in it.
    """
    _make(path)
    with alone_in(path, "--out"):
        yield


def create(path: Path, experiment: Experiment, *, num_updates: int, patience: int | None = None) -> Run:
    """A new run directory, of the experiment's seed.

    **Raises:** `InputError` where the directory already holds something or cannot be made, and for a number of updates
    or a patience out of range, or without data to go by.
    """
    check_range("--updates", num_updates, 1)
    if patience is not None:
        check_range("--patience", patience, 1)
        if experiment.task.validation is None:
            expected, got = "an experiment with validation data", experiment.name
            raise InputError("--patience", expected=expected, got=got, remedy="leave it out")
    if is_run(path):
        raise _taken(path)
    _make(path)
    options = experiment.options.recorded()
    run = Run(path, experiment.name, options, experiment.seed, num_updates, _environment(), patience=patience)
    _write(run)
    return run


def extended(run: Run, num_updates: int | None) -> Run:
    """The run, with more updates than it was to have; its directory says so from now on."""
    if num_updates is None or num_updates <= run.num_updates:
        return run
    run = replace(run, num_updates=num_updates, num_scheduled=run.num_scheduled or run.num_updates)
    _write(run)
    return run


def ended(run: Run, num_updates: int) -> Run:
    """The run, of which no more than so many updates were needed; its directory says so from now on."""
    run = replace(run, num_updates=num_updates, num_scheduled=run.num_scheduled or run.num_updates)
    _write(run)
    return run


def _make(path: Path) -> None:
    if path.exists() and not is_run(path) and not (path.is_dir() and is_unused(path)):
        raise _taken(path)
    make_folder(path, "--out")


def _taken(path: Path) -> InputError:
    return InputError(
        "--out",
        expected="a new or empty directory",
        got=f"{path}, which holds {'another run' if is_run(path) else 'other files'}",
        remedy="name another directory, or continue a run with --resume",
    )


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

    `asked` are `experiment`, `seed`, `updates`, `patience` and options of the experiment. Where data are says nothing,
    as they are known by their digest.
    """
    begun = {"experiment": run.experiment, "seed": run.seed, "updates": run.num_updates, **run.options}
    begun |= {} if run.patience is None else {"patience": run.patience}
    given = {name: value for name, value in asked.items() if value is not None}
    for name, value in given.items():
        if name == "digest" and begun.get(name, value) != value:
            raise InputError(
                flag("data"),
                expected=f"the data with which the run in {run.path} began",
                got="other contents",
                remedy="bring that file, or name another directory with --out",
            )
        if name not in begun or (begun[name] != value and name not in run.files):
            raise InputError(
                name if name == "experiment" else flag(name),
                expected=f"{begun.get(name, 'none')}, with which the run in {run.path} began",
                got=value,
                remedy="leave it out to continue that run, or fit into a new directory",
            )


def _environment() -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "device": f"{device.platform}: {device.device_kind}",
    }


def _write(run: Run) -> None:
    kept = {name: value for name, value in asdict(run).items() if name != "path" and value is not None}
    with replacing(run.path / "run.json") as file:
        file.write((json.dumps({"format": FORMAT, **kept}, indent=2) + "\n").encode())
