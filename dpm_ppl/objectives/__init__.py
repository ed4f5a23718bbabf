"""Objectives for `numpyro.infer.SVI`: the paper's bound K, and importance-weighted bounds of any program."""

from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO, track_step_losses
from dpm_ppl.objectives.importance_weighted import DoublyReparametrisedELBO, importance_weighted_elbo, renyi_elbo

__all__ = [
    "DiffusionELBO",
    "DoublyReparametrisedELBO",
    "importance_weighted_elbo",
    "renyi_elbo",
    "track_step_losses",
]
