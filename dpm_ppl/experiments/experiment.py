"""An experiment: a task and a recipe, declared together by options and a seed so that one command can run them."""

from dataclasses import dataclass, replace

import numpy as np

from dpm_ppl.experiments.options import AbstractOptions
from dpm_ppl.experiments.recipe import Recipe
from dpm_ppl.experiments.task import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """Everything that a fit and its scores need; nothing in it has run.

    `options` and `seed` are enough to declare the same experiment again. The seed decides what a declaration draws at
    random: a network's initial values, the data or which of them are held out.
    """

    options: AbstractOptions
    seed: int = 0
    task: Task
    recipe: Recipe

    def __post_init__(self):
        train = self.task.train
        self.recipe.method.check_data(train.rows(np.arange(min(train.num_points, 1000))), "train")

    @property
    def name(self) -> str:
        """That of its options."""
        return self.options.name

    def scored_on(self, num_heldout: int | None) -> "Experiment":
        """The same with the first `num_heldout` of its held-out data; with all of them if None.

        **Raises:** `InputError` for more than there are.
        """
        return replace(self, task=self.task.scored_on(num_heldout))
