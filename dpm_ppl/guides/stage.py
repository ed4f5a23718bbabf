"""One stage of fitting a guide: `fit` on a program whose data are its arguments, watched on noise it does not see."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpyro import handlers
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoGuide

from dpm_ppl._common.checks import number_in, whole_number
from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl._common.numpyro_seam import set_up
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl.guides.auto_diffusion import AutoDiffusion
from dpm_ppl.guides.path_derivative import PathDerivativeELBO
from dpm_ppl.guides.weighing.pair import Pair
from dpm_ppl.training import FitResult, fit

SIDE_BY_SIDE = 256
"""Draws that are weighed at once."""
BOUND = "elbo"
"""What an evaluation calls the bound."""
SLOWER = 4
"""What the rate is divided by where updates do not stay finite."""
NUM_RATES = 3
"""Rates that are tried so."""
NUM_TIMED = 100
"""Updates that tell how many fit into a time."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a guide is fitted: Adam with a cosine decay to 1 % of its rate, and gradients clipped to a norm.

    - `num_updates`, `learning_rate`: of the guide; `num_base_updates`, `base_learning_rate`: of a base before it. Where
      updates do not stay finite, a quarter of the rate is tried, and a quarter of that.
    - `seconds`: time for the updates of guide and base together, in place of their numbers, whose ratio divides it.
      How many fit in is told by a few, so that it depends on the machine. Compilation and evaluations come on top.
    - `num_particles`: that an update averages over; `most_gradient`: the norm that gradients are clipped to.
    - `averaging`: as in `fit`, the weight of the old parameters in their average.
    - `num_evaluations`, `num_evaluation_draws`: looks at the bound on the way, and the draws of each.
    - `patience`, `min_gain`: with patience, a stage ends once so many evaluations in a row have not raised the bound by
      more than `min_gain` nats.
    - `num_draws`: for the figures at the end.
    - `checkpoint_dir`, `resume`: as in `fit`, with a folder for each stage. `progress`: whether it is shown.
    """

    num_updates: int = 15_000
    num_base_updates: int = 2000
    learning_rate: float = 3e-3
    base_learning_rate: float = 1e-2
    seconds: float | None = None
    num_particles: int = 16
    most_gradient: float = 10.0
    averaging: float = 0.99
    num_evaluations: int = 10
    num_evaluation_draws: int = 2048
    patience: int | None = None
    min_gain: float = 0.0
    num_draws: int = 4096
    checkpoint_dir: str | Path | None = None
    resume: bool = False
    progress: bool = True

    def __post_init__(self):
        for name in ("num_updates", "num_base_updates", "num_particles", "num_evaluations"):
            whole_number(name, getattr(self, name))
        for name in ("num_evaluation_draws", "num_draws"):
            whole_number(name, getattr(self, name), least=2)
        for name in ("learning_rate", "base_learning_rate", "most_gradient"):
            number_in(name, getattr(self, name), 0, expected="a positive number", remedy="for example 3e-3")
        if self.seconds is not None:
            number_in("seconds", self.seconds, 0, expected="a positive number", remedy="for example 60")
            if self.resume:
                remedy = "pass num_updates: how many fit into a time differs from run to run"
                raise InputError("resume", expected="a number of updates", got=f"seconds={self.seconds}", remedy=remedy)


class Stage:
    """A guide at the arguments of its fit, set up for its model.

    `name`, "base" or "guide", says which of the settings' numbers hold; `share` is the part of their seconds it has.
    """

    def __init__(
        self,
        guide: AutoGuide,
        name: str,
        settings: FitSettings,
        args: tuple,
        kwargs: dict,
        key: PRNGKey,
        *,
        share: float = 1.0,
    ):
        self.guide, self.name, self.settings, self.share = guide, name, settings, share
        is_base = name == "base"
        self.num_updates = settings.num_base_updates if is_base else settings.num_updates
        self.learning_rate = settings.base_learning_rate if is_base else settings.learning_rate
        self.notices: list[str] = []
        with handlers.block():
            set_up(guide, key, args, kwargs)
        self.model: Callable = lambda _=None: guide.model(*args, **kwargs)
        self.program: Callable = lambda _=None: guide(*args, **kwargs)
        self._weigh = jax.jit(jax.vmap(self._log_weight, in_axes=(None, 0)))

    def first_params(self, key: PRNGKey) -> dict[str, Any]:
        """Params before any training."""
        svi = SVI(self.model, self.program, optax.sgd(0.0), Trace_ELBO())
        return svi.get_params(svi.init(key, jnp.zeros(1)))

    def trained(self, key: PRNGKey, held_out: PRNGKey) -> FitResult:
        """The fit whose best evaluation on the noise of `held_out` is kept.

        **Raises:** `TrainingError` where updates stay without finite gradients, at lower rates too.
        """
        if self.settings.seconds is not None:
            self.num_updates = self._num_within(key, self.share * self.settings.seconds)
        *rates, lowest = (self.learning_rate / SLOWER**number for number in range(NUM_RATES))
        for rate in rates:
            try:
                return self._trained_at(rate, key, held_out)
            except TrainingError:
                self.notices.append(f"updates of the {self.name} did not stay finite at a rate of {rate:.2g}")
        return self._trained_at(lowest, key, held_out)

    def _trained_at(self, learning_rate: float, key: PRNGKey, held_out: PRNGKey) -> FitResult:
        chosen = self.settings
        folder = None
        if chosen.checkpoint_dir is not None:
            is_slower = learning_rate < self.learning_rate
            folder = Path(chosen.checkpoint_dir) / (f"{self.name}-{learning_rate:.2g}" if is_slower else self.name)

        def evaluate(params: dict[str, Any]) -> dict[str, float]:
            return {BOUND: float(self.log_weights(params, held_out, chosen.num_evaluation_draws).mean())}

        return self._fit(
            self.num_updates,
            learning_rate,
            key,
            averaging=chosen.averaging,
            evaluate=evaluate,
            evaluate_every=math.ceil(self.num_updates / chosen.num_evaluations),
            keep_best=BOUND,
            patience=chosen.patience,
            min_gain=chosen.min_gain,
            checkpoint_dir=folder,
            resume=chosen.resume,
            identity={"guide": type(self.guide).__name__, "num_particles": chosen.num_particles},
            progress=chosen.progress,
            unit="nats",
        )

    def _num_within(self, key: PRNGKey, seconds: float) -> int:
        """Updates that fit into a time, as those after the first `NUM_TIMED` tell, with which all is compiled."""
        timed = self._fit(
            2 * NUM_TIMED,
            self.learning_rate / SLOWER**NUM_RATES,
            key,
            evaluate_every=NUM_TIMED,
            max_skipped_in_a_row=2 * NUM_TIMED,
            progress=False,
        )
        if timed.interrupted:
            raise KeyboardInterrupt
        first, second = timed.metrics
        return max(1, round(seconds * NUM_TIMED / (second["seconds"] - first["seconds"])))

    def _fit(self, num_updates: int, learning_rate: float, key: PRNGKey, **how: Any) -> FitResult:
        rate = optax.cosine_decay_schedule(learning_rate, num_updates, 0.01)
        optimiser = optax.chain(optax.clip_by_global_norm(self.settings.most_gradient), optax.adam(rate))
        objective = PathDerivativeELBO if isinstance(self.guide, AutoDiffusion) else Trace_ELBO
        svi = SVI(self.model, self.program, optimiser, objective(self.settings.num_particles))
        no_data = np.zeros(1000, np.float32)  # but the arguments
        return fit(svi, no_data, num_updates=num_updates, batch_size=1, key=key, **how)

    def log_weights(self, params: dict[str, Any], key: PRNGKey, num: int) -> np.ndarray:
        """log p(data, z) - log q(z) of so many draws of the guide, `(num,)`; those of one key are the same."""
        blocks = [
            self._weigh(params, jax.random.split(jax.random.fold_in(key, start), SIDE_BY_SIDE))
            for start in range(0, num, SIDE_BY_SIDE)
        ]
        return np.concatenate([np.asarray(block, np.float64) for block in blocks])[:num]

    def _log_weight(self, params: dict[str, Any], key: PRNGKey) -> Array:
        return Pair(self.model, self.program, params, (), {}).weigh(key).log_weight
