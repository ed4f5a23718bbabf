from dpm_ppl.experiments.experiment import Experiment as Experiment
from dpm_ppl.experiments.experiment import declare as declare
from dpm_ppl.experiments.options import AbstractOptions as AbstractOptions
from dpm_ppl.experiments.options import option as option
from dpm_ppl.experiments.recipe import Recipe as Recipe
from dpm_ppl.experiments.task import Reference as Reference
from dpm_ppl.experiments.task import Task as Task
