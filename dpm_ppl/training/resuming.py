"""Going on with a fit: what its checkpoints hold besides the state, and how it starts from them."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import make_folder
from dpm_ppl.training import checkpoint
from dpm_ppl.training.updates import TrainingState


@dataclasses.dataclass
class Record:
    """What the metrics need to remember from chunk to chunk, and from one start to the next."""

    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    period_loss: float = 0.0
    period_updates: int = 0

    def add(self, losses: np.ndarray, seconds: float) -> float:
        """Adds the losses of kept updates, one by one so that chunks leave no trace in the rounding; their mean."""
        for loss in losses.tolist():
            self.period_loss += loss
        self.period_updates += losses.size
        self.seconds += seconds
        return float(losses.mean()) if losses.size else math.nan

    def close_period(self, update: int, skipped: int, values: dict[str, Any]) -> None:
        """Adds the row of an evaluation, and begins the period after it."""
        loss = self.period_loss / self.period_updates if self.period_updates else math.nan
        values = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
        self.rows.append({"update": update, "seconds": self.seconds, "loss": loss, "skipped": skipped, **values})
        self.period_loss, self.period_updates = 0.0, 0


def newest_in(folder: Path, resume: bool) -> Path | None:
    """The newest checkpoint in the folder, made if need be; there must be none unless they are to be resumed."""
    make_folder(folder, "checkpoint_dir", expected="a folder that can be made")
    newest = checkpoint.latest(folder)
    if newest is not None and not resume:
        raise InputError(
            "checkpoint_dir",
            expected="a folder without checkpoints",
            got=newest,
            remedy="pass resume=True to continue that fit, or name another folder",
        )
    return newest


def restored_from(
    path: Path, state: TrainingState, settings: dict[str, Any], num_updates: int
) -> tuple[TrainingState, Record]:
    """State and record in a checkpoint; `state` is one of the same program. `InputError` if it is of another fit."""
    restored, meta = checkpoint.load(path, state)
    check_settings(path, meta, settings)
    if not jnp.array_equal(jax.random.key_data(restored.data_key), jax.random.key_data(state.data_key)):
        raise InputError("key", expected=f"the key of the fit in {path}", got="another", remedy="use the same seed")
    expected, remedy = f"at least the {restored.num_updates} done in {path}", "ask for more or name another folder"
    whole_number("num_updates", num_updates, least=int(restored.num_updates), expected=expected, remedy=remedy)
    return restored, Record(**meta["record"])


def check_settings(path: Path, meta: dict[str, Any], settings: dict[str, Any]) -> None:
    """Raise `InputError` where a setting is another than in the `meta` of a checkpoint, unless that has none."""
    saved = meta.get("settings", {})
    for name, value in settings.items():
        if saved.get(name, value) != value:
            raise InputError(
                name, expected=f"{saved[name]}, as in {path}", got=value, remedy="resume with the settings of that fit"
            )
