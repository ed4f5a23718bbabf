"""Objectives for `numpyro.infer.SVI`: what training makes small. Choose one by what is to be learned.

- `DiffusionELBO` is the paper's bound K, and the one to start with. It costs the chains step by step in closed form,
  all steps or some of them. `track_step_losses` lets it look more often where the loss is large.
- `ContinuousELBO` is K in the limit of ever more steps, for a schedule in continuous time, which it can train.
- `importance_weighted_elbo` and `renyi_elbo` are tighter, and cost more: they run whole paths, several a datum.
- `DoublyReparametrisedELBO` is the importance-weighted bound with a better gradient for the parameters of a guide.
"""

from dpm_ppl.objectives.chain_elbo import track_step_losses
from dpm_ppl.objectives.continuous_elbo import ContinuousELBO
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.objectives.importance_weighted import DoublyReparametrisedELBO, importance_weighted_elbo, renyi_elbo

__all__ = [
    "ContinuousELBO",
    "DiffusionELBO",
    "DoublyReparametrisedELBO",
    "importance_weighted_elbo",
    "renyi_elbo",
    "track_step_losses",
]
