"""An experiment: data, method, objective and optimiser declared together, so that one command can run them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import optax
from numpyro.infer import SVI
from numpyro.infer.elbo import ELBO

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO, track_step_losses

DIFFUSION = "diffusion"
"""The name of the method that experiments are about."""
OF_THE_DIFFUSION = ("variant", "edge", "num_steps", "pi", "beta_1", "learning_rate", "batch_size", "width", "depth")
"""Options that say nothing to another method."""


@dataclass(frozen=True)
class Reference:
    """A published figure of the same law of data, its source in the name, to hold a result against.

    What other methods reach on the very same held-out data is measured beside the result (`dpm-ppl compare`).
    """

    name: str
    value: float
    unit: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """Everything that a fit and its scores need; nothing in it has run.

    - `name`, `options`, `seed`: enough to declare the same experiment again. The seed decides what a
      declaration draws at random: a network's initial values, the data or which of them are held out.
    - `datum`: what one datum is called, as in bits/point.
    - `validation`: data that are neither trained on nor held out; where there are any, the parameters kept are those
      with the highest K of them.
    - `gaussian`: log-density of dequantised standardised data under a Gaussian of full covariance, fitted to all data
      that are not held out; as `exact`, and what a result is held against.
    - `data_facts`: what declares the experiment without its data, as JSON, where these come from a file.
    - `notices`: what a user should know before it is fitted, a line each.
    - `exact`: log-density of standardised data in nats, `(datum, *event_shape)` to `(datum,)`, where it is known.
    - `num_draws`: draws of noise, and of the dequantisation, per held-out datum in a reported bound.
    - `optimiser`: from the number of updates, over which learning rates decay, to the Optax transformation.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    train: Dataset
    heldout: Dataset
    validation: Dataset | None = None
    method: AbstractMethod
    objective: ELBO
    optimiser: Callable[[int], optax.GradientTransformation]
    num_updates: int
    batch_size: int
    averaging: float = 0.999
    datum: str = "point"
    exact: Callable[[np.ndarray], np.ndarray] | None = None
    gaussian: Callable[[np.ndarray], np.ndarray] | None = None
    data_facts: dict[str, Any] | None = None
    notices: tuple[str, ...] = ()
    num_draws: int = 4
    references: tuple[Reference, ...] = ()

    def __post_init__(self):
        self.method.check_data(self.train.rows(np.arange(min(self.train.num_points, 1000))), "train")

    @property
    def unit(self) -> str:
        """The unit of its bounds."""
        return f"bits/{self.datum}"

    def svi(self, num_updates: int | None = None) -> SVI:
        """Model, guide, optimiser and objective as NumPyro's SVI, for a training of `num_updates`."""
        optimiser = self.optimiser(num_updates or self.num_updates)
        guide = self.method.guide
        if isinstance(self.objective, DiffusionELBO) and self.objective.step_sampling == "importance":
            guide = track_step_losses(guide)
        return SVI(self.method.model, guide, optimiser, loss=self.objective)


def scored_on(experiment: Experiment, num_heldout: int | None) -> Experiment:
    """The same with the first `num_heldout` of its held-out data; with all of them if None.

    **Raises:** `InputError` for more than there are.
    """
    if num_heldout is None:
        return experiment
    most = experiment.heldout.num_points
    if not 1 <= num_heldout <= most:
        raise InputError(
            "--num-heldout",
            expected=f"1 to {most:,} held-out data",
            got=num_heldout,
            remedy="leave it out for all",
        )
    return replace(experiment, heldout=experiment.heldout.part(slice(num_heldout)))
