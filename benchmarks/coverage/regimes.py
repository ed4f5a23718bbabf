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


def _lognormal(deviation: float) -> Sampler:
    return lambda rng, shape: rng.normal(-(deviation**2) / 2, deviation, shape)


def _pareto(index: float) -> Sampler:
    return lambda rng, shape: index * rng.exponential(size=shape) + np.log1p(-index)


def _contaminated(share: float, index: float) -> Sampler:
    """Weights that are equal but for a share of a Pareto law."""
    return lambda rng, shape: np.log(1 - share + share * np.exp(_pareto(index)(rng, shape)))


def _of_squares(slope: float, num: int) -> Sampler:
    """log w is `slope` times a chi-squared variable: heavy above 0, where 2 slope is the tail index, bounded below."""
    return lambda rng, shape: slope * rng.chisquare(num, shape) + num / 2 * np.log1p(-2 * slope)


def _mixture(share: float, narrow: float, wide: float) -> Sampler:
    """A share of the log-weights spreads more than the others."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        deviation = np.where(rng.random(shape) < share, wide, narrow)
        mean = (1 - share) * np.exp(narrow**2 / 2) + share * np.exp(wide**2 / 2)
        return deviation * rng.normal(size=shape) - np.log(mean)

    return draw


def _inverse_gamma(shape_of_gamma: float) -> Sampler:
    return lambda rng, shape: np.log((shape_of_gamma - 1) / rng.gamma(shape_of_gamma, size=shape))


WEIGHTS: dict[str, Sampler] = {
    **{f"log-normal weights, sd {deviation:g}": _lognormal(deviation) for deviation in (0.1, 0.3, 0.5, 1.0, 1.5, 2.0)},
    **{f"Pareto weights, tail {index:g}": _pareto(index) for index in (0.1, 0.2, 0.36, 0.5, 0.64, 0.8)},
    **{f"one in ten Pareto, tail {index:g}": _contaminated(0.1, index) for index in (0.36, 0.5, 0.7, 0.9)},
    "one in a hundred Pareto, tail 0.7": _contaminated(0.01, 0.7),
    "log w = z^2 / 10": _of_squares(0.1, 1),
    "log w = 3 z^2 / 10": _of_squares(0.3, 1),
    "log w = |z|^2 / 10, 8 dimensions": _of_squares(0.1, 8),
    "log w = -z^2 / 2": _of_squares(-0.5, 1),
    "log w = -|z|^2 / 2, 8 dimensions": _of_squares(-0.5, 8),
    "log-normal, sd 0.2, one in ten sd 1": _mixture(0.1, 0.2, 1.0),
    "inverse gamma weights, tail 0.25": _inverse_gamma(4.0),
    "inverse gamma weights, tail 0.45": _inverse_gamma(2.2),
}
"""Laws of log-weights whose weights have mean 1."""
