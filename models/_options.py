"""What the options of the zoo's experiments have in common: a task, and one of the methods as its recipe."""

import abc
from dataclasses import dataclass, replace

from dpm_ppl._common.errors import InputError
from dpm_ppl.experiments import AbstractOptions, Experiment, Recipe, Task, option
from dpm_ppl.experiments.options import DIFFUSION
from dpm_ppl.models._parts import chosen
from dpm_ppl.models.methods import METHODS


@dataclass(frozen=True, kw_only=True)
class ZooOptions(AbstractOptions):
    """The options of an experiment whose data every method of the zoo may be fitted to."""

    method: str = option(DIFFUSION, f"What is fitted to the data: {DIFFUSION}, {', '.join(METHODS)}.")

    @abc.abstractmethod
    def task(self, seed: int) -> Task:
        """The data, and what is known of them."""

    @abc.abstractmethod
    def diffusion(self, task: Task, seed: int) -> Recipe:
        """The diffusion of these data and its training; of filled options."""

    def filled(self, task: Task) -> "ZooOptions":
        """The same with what was left to the data filled in."""
        return self

    def experiment(self, seed: int = 0) -> Experiment:
        build = chosen("method", self.method, {DIFFUSION: None, **METHODS})
        task = self.task(seed)
        options = self.filled(task)
        if build is None:
            return Experiment(options=options, seed=seed, task=task, recipe=options.diffusion(task, seed))
        try:
            recipe = build(task.train, seed)
        except InputError as error:
            raise InputError(
                "method", expected=f"for {self.method}, {error.expected}", got=error.got, remedy=error.remedy
            ) from error
        recipe = replace(recipe, batch_size=min(recipe.batch_size, task.train.num_points))
        return Experiment(options=options, seed=seed, task=task, recipe=recipe)
