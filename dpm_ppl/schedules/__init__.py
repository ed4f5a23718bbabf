"""Schedules: the rates beta_1 ... beta_T of the forward chain, and what follows from them at every step."""

from dpm_ppl.schedules.base import AbstractSchedule
from dpm_ppl.schedules.fixed import Cosine, Erasure, Fixed, Linear, LogSNR
from dpm_ppl.schedules.learned import Learned
from dpm_ppl.schedules.steps import Step

__all__ = ["AbstractSchedule", "Cosine", "Erasure", "Fixed", "Learned", "Linear", "LogSNR", "Step"]
