"""The Parzen window: a density of Gaussians around draws of a model, by which images were compared before 2016."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from dpm_ppl._common.checks import number_in, real_array
from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates.standard_errors import Estimate, estimate

WIDTHS = np.logspace(-1, 0, 10)
"""The widths that the published figures were chosen from, for pixels from 0 to 1."""
NUM_SAMPLES, NUM_VALIDATION = 10_000, 1_000
"""Draws of the model, and data that choose the width, behind the published figures."""
_MOST_VALUES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class ParzenScore:
    """The mean log-density of test data under a Parzen window, its standard error over these data, and the width.

    The error is over the test data alone, as published: other draws of the model would give another window.
    """

    log_density: Estimate
    """Nats per datum."""
    width: float
    num_samples: int

    @property
    def bits(self) -> Estimate:
        """Bits per datum, as in the paper's table 2."""
        return self.log_density / math.log(2)


def parzen_score(samples: ArrayLike, validation: ArrayLike, test: ArrayLike, widths: ArrayLike = WIDTHS) -> ParzenScore:
    """How a model was scored on MNIST by Goodfellow et al. (2014) and in table 2 of Sohl-Dickstein et al. (2015).

    A Gaussian of one width, the same in every direction, stands around each sample. The width is the one of `widths`
    under which validation data are most likely on average; the score is the mean log-density of the test data. As
    published: 10,000 samples, 1,000 validation images and all test images, pixels from 0 to 1.

    It is a poor metric, for comparison with the published figures alone: in many dimensions it says little of the
    model's likelihood or of its draws, and centres of clusters score above the data themselves (Theis, van den Oord and
    Bethge 2016). Fewer samples score less. For the likelihood there are `bound` and `log_likelihood`.

    **Arguments:** `samples`, `validation` and `test` are `(datum, *event_shape)`.

    **Raises:** `InputError` for data of different shapes, no data, and widths that are not positive.
    """
    widths = np.asarray(real_array(widths, "widths")).ravel()
    if not len(widths) or not np.all(np.isfinite(widths) & (widths > 0)):
        raise InputError("widths", expected="positive numbers", got=widths, remedy="leave it out for those published")
    centres, chosen_by, scored = (_rows(*one) for one in _named(samples, validation=validation, test=test))
    best = int(np.argmax(_log_densities(centres, chosen_by, widths).mean(axis=1)))
    (values,) = _log_densities(centres, scored, widths[best : best + 1])
    return ParzenScore(log_density=estimate(values), width=float(widths[best]), num_samples=len(centres))


def parzen_log_density(samples: ArrayLike, x: ArrayLike, width: float) -> np.ndarray:
    """Log-density of each of `x` under equal Gaussians of standard deviation `width` around the samples, in nats.

    `samples` and `x` are `(datum, *event_shape)`; the result is `(datum,)`, of `x`.

    **Raises:** as `parzen_score`.
    """
    width = number_in("width", width, 0, expected="a positive number", remedy="0.2 is usual for pixels from 0 to 1")
    centres, points = (_rows(*one) for one in _named(samples, x=x))
    return _log_densities(centres, points, np.array([width]))[0]


def _named(samples: ArrayLike, **others: ArrayLike) -> list[tuple[str, np.ndarray, tuple[int, ...]]]:
    arrays = {name: np.asarray(real_array(values, name)) for name, values in {"samples": samples, **others}.items()}
    return [(name, array, arrays["samples"].shape[1:]) for name, array in arrays.items()]


def _rows(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if not values.ndim or not values.size or values.shape[1:] != shape or not np.isfinite(values).all():
        raise InputError(
            name,
            expected=f"finite data along a first axis, each of shape {shape} as the samples",
            got=f"shape {values.shape}",
            remedy="give all in the same units, pixels from 0 to 1 to compare with published figures",
        )
    return values.reshape(len(values), -1).astype(np.float64)


def _log_densities(centres: np.ndarray, points: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Of each point under each width, `(width, point)`."""
    middle = centres.mean(axis=0)  # without which the squares below would be larger than need be, and less exact
    centres, points = centres - middle, points - middle
    norms, size = np.square(centres).sum(axis=1), max(1, _MOST_VALUES // len(centres))

    def of_chunk(points: np.ndarray) -> np.ndarray:
        squares = np.maximum(np.square(points).sum(axis=1)[:, None] + norms - 2 * points @ centres.T, 0)
        return np.stack([logsumexp(-squares / (2 * width**2), axis=1) for width in widths])

    found = np.concatenate([of_chunk(points[start : start + size]) for start in range(0, len(points), size)], axis=1)
    normalisation = 0.5 * centres.shape[1] * np.log(2 * math.pi * np.square(widths))
    return found - math.log(len(centres)) - normalisation[:, None]
