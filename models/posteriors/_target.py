"""What every posterior of the zoo is: a model with its data, and what is known of its evidence."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl.estimates import Estimate

Data = Array | np.ndarray
"""What a model is called with: NumPy's arrays as they are declared, JAX's inside of what is compiled."""


@dataclass(frozen=True)
class Target:
    """A posterior to approximate.

    - `model`, `args`: a NumPyro program and what it is called with, data included.
    - `log_evidence`: log p(data) in nats, with its standard error, 0 where it is exact to the digits given; None for
      options that it has not been computed for. `obtained` says how.
    - `draw`: exact draws of the posterior by site, `draw(key, num)` giving `(num, ...)`; None where only MCMC has them.
    - `source`: the paper that model and data are from.
    """

    name: str
    model: Callable[..., Any]
    args: tuple[Any, ...] = ()
    log_evidence: Estimate | None = None
    obtained: str = ""
    draw: Callable[[PRNGKey, int], dict[str, np.ndarray]] | None = field(default=None, repr=False)
    source: str = ""


def exactly(log_evidence: float) -> Estimate:
    """A log evidence that is known to all the digits that are given."""
    return Estimate(log_evidence, 0.0, 1)
