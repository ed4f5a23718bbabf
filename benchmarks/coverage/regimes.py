"""Laws with a known truth, as tables: the values of single data, and their importance weights.

Every sampler takes a generator and a shape.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

type Sampler = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Values:
    """A law of independent values of known mean."""

    draw: Sampler
    mean: float


def _squares(num: int) -> Sampler:
    """log-densities of standard normal data of `num` dimensions, but for a constant."""
    return lambda rng, shape: -rng.chisquare(num, shape) / 2


VALUES = {
    "normal": Values(lambda rng, shape: rng.normal(size=shape), 0.0),
    "log-density of N(0, I), 8 dimensions": Values(_squares(8), -4.0),
    "log-density of N(0, I), 2 dimensions": Values(_squares(2), -1.0),
    "log-density of N(0, 1)": Values(_squares(1), -0.5),
}
"""By how far they are from normal."""
