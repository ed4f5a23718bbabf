"""What the options of the zoo's experiments have in common: a task, and one of the methods as its recipe."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace

import dpm_ppl as dpm
from dpm_ppl.experiments.options import DIFFUSION, AbstractOptions, option
from dpm_ppl.models._parts import chosen
from dpm_ppl.models.methods import METHODS


@dataclass(frozen=True, kw_only=True)
class ZooOptions(AbstractOptions):
    """The options of an experiment whose data every method of the zoo may be fitted to."""

    method: str = option(DIFFUSION, f"What is fitted to the data: {DIFFUSION}, {', '.join(METHODS)}.")

    @abc.abstractmethod
    def task(self, seed: int) -> dpm.experiments.Task:
        """The data, and what is known of them."""

    @abc.abstractmethod
    def diffusion(self, task: dpm.experiments.Task, seed: int) -> dpm.experiments.Recipe:
        """The diffusion of these data and its training; of filled options."""

    def filled(self, task: dpm.experiments.Task) -> ZooOptions:
        """The same with what was left to the data filled in."""
        return self

    def experiment(self, seed: int = 0) -> dpm.experiments.Experiment:
        build = chosen("method", self.method, {DIFFUSION: None, **METHODS})
        task = self.task(seed)
        options = self.filled(task)
        if build is None:
            recipe = options.diffusion(task, seed)
            return dpm.experiments.Experiment(options=options, seed=seed, task=task, recipe=recipe)
        try:
            recipe = build(task.train, seed)
        except dpm.InputError as error:
            raise dpm.InputError(
                "method", expected=f"for {self.method}, {error.expected}", got=error.got, remedy=error.remedy
            ) from error
        recipe = replace(recipe, batch_size=min(recipe.batch_size, task.train.num_points))
        return dpm.experiments.Experiment(options=options, seed=seed, task=task, recipe=recipe)
