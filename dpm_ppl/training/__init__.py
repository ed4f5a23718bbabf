"""Training any SVI: `fit`, with checkpoints from which it goes on bit for bit, or `init` and `step` one by one."""

from dpm_ppl.training.loop import FitResult, fit, init, step
from dpm_ppl.training.updates import TrainingState

__all__ = ["FitResult", "TrainingState", "fit", "init", "step"]
