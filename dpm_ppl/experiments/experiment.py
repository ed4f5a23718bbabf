"""An experiment: a task and a recipe, declared together by options and a seed so that one command can run them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl.experiments.options import DIFFUSION, LAST_SEED, AbstractOptions, Zoo, check_range, flag
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


def declare(zoo: Zoo, name: str, options: Mapping[str, Any], seed: int = 0) -> Experiment:
    """The experiment `name` of the zoo with these options and this seed.

    **Raises:** `InputError` for an unknown experiment, an option it does not have and a seed out of range.
    """
    found = zoo[one_of("experiment", name, zoo, "'dpm-ppl list' describes them; 'array' fits data of your own")]
    check_range("--seed", seed, 0, LAST_SEED)
    known = {option.name: option for option in found.all()}
    hidden = {field.name for field in fields(found)} - known.keys()
    for given in options:
        if given not in known and given not in hidden:
            raise InputError(
                flag(given),
                expected=f"an option of {name} ({', '.join(map(flag, known))})",
                got="one it does not have",
                remedy="leave it out, or choose another experiment",
            )
    method = options.get("method", DIFFUSION)
    for given, value in options.items():
        if given in known and known[given].of_diffusion and method != DIFFUSION:
            raise InputError(flag(given), expected=f"none with --method {method}", got=value, remedy="leave it out")
    return found(**options).experiment(seed)
