"""A recipe: a method and how to train it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import optax
from numpyro.infer import SVI
from numpyro.infer.elbo import ELBO

from dpm_ppl._common.types import PRNGKey
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.objectives import track_step_losses
from dpm_ppl.objectives.chain_elbo import AbstractChainELBO


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """A method with objective, optimiser and sizes of its training; nothing in it has run.

    - `optimiser`: from the number of updates, over which learning rates decay, to the Optax transformation.
    - `averaging`: decay of the moving average of the parameters, which is what is scored.
    - `start`: from method, training data and key to the same method with the values that its training starts from,
      where these are found in the data; called once, before the first update.
    """

    method: AbstractMethod
    objective: ELBO
    optimiser: Callable[[int], optax.GradientTransformation]
    num_updates: int
    batch_size: int
    averaging: float = 0.999
    start: Callable[[Any, Dataset, PRNGKey], AbstractMethod] | None = None

    def started(self, train: Dataset, key: PRNGKey) -> "Recipe":
        """The recipe whose method stands where its training starts."""
        return self if self.start is None else replace(self, method=self.start(self.method, train, key), start=None)

    def svi(self, num_updates: int | None = None) -> SVI:
        """Model, guide, optimiser and objective as NumPyro's SVI, for a training of `num_updates`."""
        guide = self.method.guide
        if isinstance(self.objective, AbstractChainELBO) and self.objective.needs_step_losses:
            guide = track_step_losses(guide)
        return SVI(self.method.model, guide, self.optimiser(num_updates or self.num_updates), loss=self.objective)
