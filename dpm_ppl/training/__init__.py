"""Training of any NumPyro `SVI` on data. Come here to fit a method, or to own the loop.

- `fit` does it all: batches, checkpoints from which it goes on bit for bit, evaluations, averaged parameters. It
  returns a `FitResult`, and raises `TrainingError` where updates keep failing.
- `init` and `step` are one update each, for a loop of your own around a `TrainingState`.
"""

from dpm_ppl._common.errors import TrainingError
from dpm_ppl.training.loop import FitResult, fit, init, step
from dpm_ppl.training.updates import TrainingState

__all__ = ["FitResult", "TrainingError", "TrainingState", "fit", "init", "step"]
