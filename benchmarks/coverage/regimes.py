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
    "one datum in five 2 nats lower": Values(
        lambda rng, shape: 0.3 * rng.normal(size=shape) - 2 * (rng.random(shape) < 0.2), -0.4
    ),
}
"""By how far they are from normal."""


@dataclass(frozen=True)
class World:
    """Data whose log-weights are normal around K = log p - variance / 2.

    - `log_p`: -chi-square_2 / 2, of mean -1.
    - standard deviation of log-weights: `usual`, and for a `share` of the data `heavy`.
    - the exact log-density of the data, which the model misses by half the square of `misfit` on average, with that
      standard deviation; unknown where it is None.
    """

    usual: float = 0.3
    share: float = 0.0
    heavy: float = 0.0
    misfit: float | None = None

    def draw(self, rng: np.random.Generator, num_all: int, num_weighed: int, num_draws: int) -> tuple[np.ndarray, ...]:
        """K `(datum,)` with the noise of four draws, exact values, and log-weights `(weighed datum, draw)`."""
        log_p = -rng.chisquare(2, num_all) / 2
        sd = np.where(rng.random(num_all) < self.share, self.heavy, self.usual)
        K = log_p - sd**2 / 2
        misfit = 1.0 if self.misfit is None else self.misfit
        exact = log_p + misfit * (misfit / 2 + rng.normal(size=num_all))
        log_weights = K[:num_weighed, None] + sd[:num_weighed, None] * rng.normal(size=(num_weighed, num_draws))
        return K + sd * rng.normal(size=num_all) / 2, exact, log_weights


WORLDS = {
    "light weights": World(),
    "light weights, exact value known": World(misfit=1.0),
    "moderate weights, exact value known": World(usual=1.0, misfit=0.1),
    "one datum in ten heavy": World(share=0.1, heavy=2.0),
    "one datum in ten heavy, exact value known": World(share=0.1, heavy=2.0, misfit=0.1),
    "one datum in seven very heavy, exact value known": World(share=1 / 7, heavy=2.5, misfit=1.0),
    "one datum in twenty very heavy": World(share=0.05, heavy=3.0),
}
