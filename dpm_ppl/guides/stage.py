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


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a guide is fitted: Adam with a cosine decay to 1 % of its rate, and gradients clipped to a norm.

    - `num_updates`, `learning_rate`: of the guide; `num_base_updates`, `base_learning_rate`: of a base before it.
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


class Stage:
    """A guide at the arguments of its fit, set up for its model."""

    def __init__(self, guide: AutoGuide, name: str, settings: FitSettings, args: tuple, kwargs: dict, key: PRNGKey):
        self.guide, self.name, self.settings = guide, name, settings
        with handlers.block():
            set_up(guide, key, args, kwargs)
        self.model: Callable = lambda _=None: guide.model(*args, **kwargs)
        self.program: Callable = lambda _=None: guide(*args, **kwargs)
        self._weigh = jax.jit(jax.vmap(self._log_weight, in_axes=(None, 0)))

    def first_params(self, key: PRNGKey) -> dict[str, Any]:
        """Params before any training."""
        svi = SVI(self.model, self.program, optax.sgd(0.0), Trace_ELBO())
        return svi.get_params(svi.init(key, jnp.zeros(1)))

    def trained(self, key: PRNGKey, held_out: PRNGKey, num_updates: int, learning_rate: float) -> FitResult:
        """The fit whose best evaluation on the noise of `held_out` is kept.

        **Raises:** `TrainingError` where updates stay without finite gradients.
        """
        chosen = self.settings
        rate = optax.cosine_decay_schedule(learning_rate, num_updates, 0.01)
        optimiser = optax.chain(optax.clip_by_global_norm(chosen.most_gradient), optax.adam(rate))
        objective = PathDerivativeELBO if isinstance(self.guide, AutoDiffusion) else Trace_ELBO
        svi = SVI(self.model, self.program, optimiser, objective(chosen.num_particles))
        folder = None if chosen.checkpoint_dir is None else Path(chosen.checkpoint_dir) / self.name

        def evaluate(params: dict[str, Any]) -> dict[str, float]:
            return {BOUND: float(self.log_weights(params, held_out, chosen.num_evaluation_draws).mean())}

        return fit(
            svi,
            np.zeros(1000, np.float32),  # there are no data but the arguments
            num_updates=num_updates,
            batch_size=1,
            key=key,
            averaging=chosen.averaging,
            evaluate=evaluate,
            evaluate_every=math.ceil(num_updates / chosen.num_evaluations),
            keep_best=BOUND,
            patience=chosen.patience,
            min_gain=chosen.min_gain,
            checkpoint_dir=folder,
            resume=chosen.resume,
            identity={"guide": type(self.guide).__name__, "num_particles": chosen.num_particles},
            progress=chosen.progress,
            unit="nats",
        )

    def log_weights(self, params: dict[str, Any], key: PRNGKey, num: int) -> np.ndarray:
        """log p(data, z) - log q(z) of so many draws of the guide, `(num,)`; those of one key are the same."""
        blocks = [
            self._weigh(params, jax.random.split(jax.random.fold_in(key, start), SIDE_BY_SIDE))
            for start in range(0, num, SIDE_BY_SIDE)
        ]
        return np.concatenate([np.asarray(block, np.float64) for block in blocks])[:num]

    def _log_weight(self, params: dict[str, Any], key: PRNGKey) -> Array:
        return Pair(self.model, self.program, params, (), {}).weigh(key).log_weight
