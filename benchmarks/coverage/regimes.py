"""Laws with a known truth, as tables: the values of single data, and their importance weights.

Every sampler takes a generator and a shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln
from scipy.stats import norm
from scipy.stats import t as student

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

    def draw(self, rng: np.random.Generator, num_all: int, num_kept: int, num_draws: int) -> tuple[np.ndarray, ...]:
        """K `(datum,)` with the noise of four draws, exact values, and log-weights `(num_kept, num_draws)`."""
        log_p = -rng.chisquare(2, num_all) / 2
        sd = np.where(rng.random(num_all) < self.share, self.heavy, self.usual)
        K = log_p - sd**2 / 2
        misfit = 1.0 if self.misfit is None else self.misfit
        exact = log_p + misfit * (misfit / 2 + rng.normal(size=num_all))
        log_weights = K[:num_kept, None] + sd[:num_kept, None] * rng.normal(size=(num_kept, num_draws))
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
"""Laws of log-weights whose weights have mean 1. Constants of errors and verdicts were chosen on laws like these."""


def _laplace(scale: float) -> Sampler:
    return lambda rng, shape: rng.laplace(0.0, scale, shape) + np.log1p(-(scale**2))


def _logistic(scale: float) -> Sampler:
    return lambda rng, shape: rng.logistic(0.0, scale, shape) - np.log(np.pi * scale / np.sin(np.pi * scale))


def _frechet(index: float) -> Sampler:
    return lambda rng, shape: -index * np.log(rng.exponential(size=shape)) - gammaln(1 - index)


def _power_of_exponential(power: float) -> Sampler:
    """Weights E^power of a standard exponential E; a stretched exponential tail above 1."""
    return lambda rng, shape: power * np.log(rng.exponential(size=shape)) - gammaln(1 + power)


def _gamma(shape_of_gamma: float) -> Sampler:
    return lambda rng, shape: np.log(rng.gamma(shape_of_gamma, 1 / shape_of_gamma, shape))


def _snedecor(first: float, second: float) -> Sampler:
    """F-distributed weights, of tail index 2 / second."""
    return lambda rng, shape: np.log(rng.f(first, second, shape) * (second - 2) / second)


def _two_values(share: float, ratio: float) -> Sampler:
    """A mode that the proposal seldom visits: a share of the weights is `ratio` times the others."""
    return lambda rng, shape: np.log(np.where(rng.random(shape) < share, ratio, 1) / (1 + share * (ratio - 1)))


def _uniform(width: float) -> Sampler:
    return lambda rng, shape: rng.uniform(0, width, shape) - np.log(np.expm1(width) / width)


def _normal_by_student(freedom: float) -> Sampler:
    """A normal target, a Student proposal: bounded weights."""
    return lambda rng, shape: _log_ratio(norm, student(freedom), rng.standard_t(freedom, shape))


def _student_by_normal(freedom: float, spread: float) -> Sampler:
    """A Student target, a wider normal proposal: weights whose variance is infinite, by a tail that is never met."""
    return lambda rng, shape: _log_ratio(student(freedom), norm(0, spread), spread * rng.normal(size=shape))


def _log_ratio(target: Any, proposal: Any, x: np.ndarray) -> np.ndarray:
    return target.logpdf(x) - proposal.logpdf(x)


RARE_MODES = ((0.5, 3), (0.1, 10), (0.02, 10))

FRESH_WEIGHTS: dict[str, Sampler] = {
    **{f"Laplace log w, tail {scale:g}": _laplace(scale) for scale in (0.2, 0.4, 0.6)},
    **{f"logistic log w, tail {scale:g}": _logistic(scale) for scale in (0.2, 0.4, 0.6)},
    **{f"Frechet weights, tail {index:g}": _frechet(index) for index in (0.15, 0.3, 0.45, 0.6)},
    **{f"weights E^{power:g} of an exponential E": _power_of_exponential(power) for power in (0.5, 1, 2, 3)},
    **{f"gamma weights, shape {shape:g}": _gamma(shape) for shape in (0.5, 2, 10)},
    **{f"F weights, 10 and {second:g} degrees": _snedecor(10, second) for second in (20, 8, 4)},
    **{f"one weight in {round(1 / share)} {ratio:g}-fold": _two_values(share, ratio) for share, ratio in RARE_MODES},
    **{f"uniform log w, width {width:g}": _uniform(width) for width in (0.5, 2, 5)},
    "normal target, Student proposal of 3 degrees": _normal_by_student(3.0),
    "Student target of 5 degrees, normal proposal of sd 2": _student_by_normal(5.0, 2.0),
}
"""Laws of other kinds. Of all constants only `most_light_shape` of 256 draws was chosen on them."""


def _weibull(power: float) -> Sampler:
    return lambda rng, shape: np.log(rng.weibull(power, shape)) - gammaln(1 + 1 / power)


def _lomax(index: float) -> Sampler:
    """Weights with a Pareto tail and many near 0."""
    return lambda rng, shape: np.log(rng.pareto(1 / index, shape)) + np.log(1 / index - 1)


def _counts(scale: float, mean: float) -> Sampler:
    """log w is a Poisson count times `scale`: weights in ties."""
    return lambda rng, shape: scale * rng.poisson(mean, shape) - mean * np.expm1(scale)


def _skew_normal(slant: float, scale: float) -> Sampler:
    delta = slant / np.hypot(1, slant)

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        z = delta * np.abs(rng.normal(size=shape)) + np.sqrt(1 - delta**2) * rng.normal(size=shape)
        return scale * z - scale**2 / 2 - np.log(2 * norm.cdf(delta * scale))

    return draw


def _inverse_gaussian(spread: float) -> Sampler:
    return lambda rng, shape: np.log(rng.wald(1.0, spread, shape))


UNUSED_WEIGHTS: dict[str, Sampler] = {
    **{f"Weibull weights, power {power:g}": _weibull(power) for power in (0.6, 0.8, 1.5, 3)},
    **{f"Lomax weights, tail {index:g}": _lomax(index) for index in (0.1, 0.25, 0.45)},
    **{f"log w = {scale:g} Poisson({mean:g})": _counts(scale, mean) for scale, mean in ((0.3, 2), (0.5, 4), (1, 0.2))},
    **{
        f"skew normal log w, slant {slant:g}, scale {scale:g}": _skew_normal(slant, scale)
        for slant, scale in ((4, 0.5), (4, 1.2), (-4, 0.5), (-4, 1.2))
    },
    **{f"inverse Gaussian weights, {spread:g}": _inverse_gaussian(spread) for spread in (0.3, 1, 5)},
}
"""Laws that nothing was chosen on: they were added, and run, when all else stood."""

UNSEEN_WEIGHTS: dict[str, Sampler] = {
    "one weight in 250 100-fold": _two_values(0.004, 100),
    "log-normal, sd 0.2, one in fifty sd 1.5": _mixture(0.02, 0.2, 1.5),
}
"""Laws with a mode so rare that few draws may not show that it is there. No verdict can tell: printed, not judged."""
