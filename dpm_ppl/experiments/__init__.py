"""Experiments, declared by options: a task (data, and what is known of them) and a recipe (a method and its fit)."""

from dpm_ppl.experiments.experiment import Experiment
from dpm_ppl.experiments.options import AbstractOptions, declare, option
from dpm_ppl.experiments.recipe import Recipe
from dpm_ppl.experiments.task import Reference, Task

__all__ = ["AbstractOptions", "Experiment", "Recipe", "Reference", "Task", "declare", "option"]
