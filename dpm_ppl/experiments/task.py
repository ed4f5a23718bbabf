"""A task: data to model, what is known of them, and how a result on them is told."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dpm_ppl._common.checks import whole_number
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.redrawn import Redrawn


@dataclass(frozen=True)
class Reference:
    """A published figure of the same law of data, its source in the name, to hold a result against.

    What other methods reach on the very same held-out data is measured beside the result (`dpm-ppl compare`).
    """

    name: str
    value: float
    unit: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Data with their held-out part, and what any method on them is held against.

    - `redrawn`: what training draws its batches from where that is not `train` as it is: the same data, mirrored at
      random or drawn afresh.
    - `validation`: data that are neither trained on nor held out; where there are any, the parameters kept are those
      with the highest K of the first `num_validated` of them.
    - `datum`: what one datum is called, as in bits/point.
    - `exact`: log-density of standardised data in nats, `(datum, *event_shape)` to `(datum,)`, where it is known.
    - `gaussian`: log-density of dequantised standardised data under a Gaussian of full covariance, fitted to all data
      that are not held out; as `exact`, and what a result is held against.
    - `num_draws`: draws of noise, and of the dequantisation, per held-out datum in a reported bound.
    - `num_sampled_steps`: how many of the T steps of each datum K is estimated from; all if None.
    - `picture`: the name of the file with its picture.
    - `notices`: what a user should know before it is fitted, a line each.
    - `data_facts`: what declares the task without its data, as JSON, where these come from a file.
    """

    train: Dataset
    heldout: Dataset
    redrawn: Redrawn | None = None
    validation: Dataset | None = None
    num_validated: int = 200
    datum: str = "point"
    exact: Callable[[np.ndarray], np.ndarray] | None = None
    gaussian: Callable[[np.ndarray], np.ndarray] | None = None
    references: tuple[Reference, ...] = ()
    num_draws: int = 4
    num_sampled_steps: int | None = None
    picture: str = "draws"
    notices: tuple[str, ...] = ()
    data_facts: dict[str, Any] | None = None

    @property
    def unit(self) -> str:
        """The unit of its bounds."""
        return f"bits/{self.datum}"

    @property
    def batches(self) -> Dataset | Redrawn:
        """What `fit` draws its batches from."""
        return self.train if self.redrawn is None else self.redrawn

    def scored_on(self, num_heldout: int | None) -> "Task":
        """The same with the first `num_heldout` of its held-out data; with all of them if None.

        **Raises:** `InputError` for more than there are.
        """
        if num_heldout is None:
            return self
        most = self.heldout.num_points
        expected, remedy = f"1 to {most:,} held-out data", "leave it out for all"
        whole_number("--num-heldout", num_heldout, most=most, expected=expected, remedy=remedy)
        return replace(self, heldout=self.heldout.part(slice(num_heldout)))
