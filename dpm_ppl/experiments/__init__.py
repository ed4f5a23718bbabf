"""Experiments, declared by options: a task (data, and what is known of them) and a recipe (a method and its fit)."""

from dpm_ppl._common.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
