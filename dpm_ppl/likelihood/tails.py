"""What S importance weights cannot have shown: how skew their mean is, and how heavy a tail they may have missed.

Large weights are rare, so a sample that has missed them looks well behaved: its mean, its standard error and its k-hat
are too small all at once. Two allowances undo that, and go into the standard error of a log-likelihood:

- `skewness_factor`: the mean of few skew values lies below the truth more often than above it;
- `unseen_tail`: the mean of the tail is taken again with a shape several standard errors heavier than the fitted one
  and a scale from the tail's median, which does not depend on whether the rarest weights were seen.

`bulk_index` says how heavy the weights are from their middle alone. A verdict must go by such a figure: whatever is
fitted to the largest weights would select just those samples that have missed them.

How often errors made like this hold the truth is measured, law by law, by `python -m benchmarks.coverage`.
"""

import numpy as np

_SHAPE_ERRORS = ((4, 2.33), (16, 1.0))
"""Tails of S / 4 and S / 16 weights, and by how many standard errors each is taken to be heavier than it looks: by a
one-sided 99 percent, and by one for the smaller, which sees a rare component that the larger averages out."""
_HEAVIEST = 0.99
"""Largest shape that is allowed for: at 1 the mean is infinite."""
_FEWEST_IN_TAIL = 8
_ROWS_AT_ONCE = 64

NORMAL_QUANTILE = 1.96
BULK = (0.5, 0.9)
"""Quantiles between which the bulk index is measured."""


def generalised_pareto_shape(excesses: np.ndarray) -> np.ndarray:
    """Shape of the generalised Pareto law of each row's `excesses` over a threshold, `(row, tail)` sorted, to `(row,)`.

    The estimate of Zhang and Stephens (2009), which ArviZ's k-hat is too but for a prior. NaN where ties at the
    threshold leave no first quartile.
    """
    if len(excesses) == 0:
        return np.empty(0)
    parts = np.array_split(excesses, max(1, len(excesses) // _ROWS_AT_ONCE))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.concatenate([_shapes(part) for part in parts])


def _shapes(excesses: np.ndarray) -> np.ndarray:
    size = excesses.shape[1]
    num = 30 + int(np.sqrt(size))
    quartile, largest = excesses[:, int(size / 4 + 0.5) - 1, None], excesses[:, -1:]
    rates = 1 / largest + (1 - np.sqrt(num / (np.arange(num) + 0.5))) / (3 * quartile)
    shapes = np.log1p(-rates[:, :, None] * excesses[:, None, :]).mean(axis=2)
    log_profile = size * (np.log(-rates / shapes) - shapes - 1)
    weights = np.exp(log_profile - log_profile.max(axis=1, keepdims=True))
    rate = (weights * rates).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    return np.log1p(-rate * excesses).mean(axis=1)


def shape_error(shape: np.ndarray, size: int) -> np.ndarray:
    """Standard error of a shape fitted to `size` excesses (Hosking and Wallis 1987), that of 0 for lighter tails."""
    return np.asarray(np.maximum(1 + shape, 1.0) / np.sqrt(size))


def skewness_factor(means: np.ndarray, squares: np.ndarray, cubes: np.ndarray, num_draws: int) -> np.ndarray:
    """Factor of the standard error of a mean that lets 1.96 of it reach Johnson's (1978) upper limit, from raw moments.

    The limit lies (1 + 2 z^2) / 6 sqrt(n) skewnesses above the symmetric one; a left-skew mean keeps its error.
    """
    variance = np.maximum(squares - means**2, 0.0)
    third = cubes - 3 * means * squares + 2 * means**3
    varied = variance > 1e-6 * means**2  # of weights that agree to three digits, rounding is all the skewness there is
    skewness = np.where(varied, third / np.where(varied, variance, 1.0) ** 1.5, 0.0)
    reach = (1 + 2 * NORMAL_QUANTILE**2) / (6 * NORMAL_QUANTILE)
    return 1 + reach * np.maximum(skewness, 0.0) / np.sqrt(num_draws)


def unseen_tail(
    largest: np.ndarray, num_draws: int, means: np.ndarray, num_errors: float
) -> tuple[np.ndarray, np.ndarray]:
    """How far the log-mean weight might rise with the tail that `num_draws` may have missed, and how heavy that may be.

    **Arguments:** `largest`, the largest weights of each datum `(datum, tail)`, sorted; `means`, of all weights.

    **Returns**, each `(datum,)`: the rise in nats; the shape of the upper quarter of the weights with `num_errors` of
    its standard errors added, inf where ties or too few draws leave no shape.
    """
    rise, upper = np.zeros(len(largest)), np.full(len(largest), np.nan)
    kept = min(num_draws // _SHAPE_ERRORS[0][0], largest.shape[1] - 1)
    for share, more_errors in _SHAPE_ERRORS:
        size = kept * _SHAPE_ERRORS[0][0] // share
        if size < _FEWEST_IN_TAIL:
            continue
        excesses = largest[:, -size:] - largest[:, -size - 1, None]
        shape = generalised_pareto_shape(excesses)
        error = shape_error(shape, size)
        if size == kept:
            upper = shape + num_errors * error
        heavier = np.minimum(shape + more_errors * error, _HEAVIEST)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale_of_median = np.where(heavier == 0, 1 / np.log(2), heavier / np.expm1(heavier * np.log(2)))
            mean = excesses[:, size // 2 - 1] * scale_of_median / (1 - heavier)
            more = size / num_draws * (mean - excesses.mean(axis=1)) / means
        rise = np.fmax(rise, more)  # ties have no shape, and nothing to add
    return np.log1p(rise), np.nan_to_num(upper, nan=np.inf, posinf=np.inf, neginf=-np.inf)


def bulk_index(log_weights: np.ndarray) -> np.ndarray:
    """The tail index of a Pareto law whose median and upper decile lie as far apart, `(datum, draw)` to `(datum,)`.

    Some of the draws are enough. For log-normal weights it is 0.8 of the standard deviation of log w.
    """
    if log_weights.shape[-1] == 0:
        return np.full(len(log_weights), np.nan)
    with np.errstate(invalid="ignore"):
        middle, upper = np.quantile(log_weights, BULK, axis=-1)
        return (upper - middle) / np.log((1 - BULK[0]) / (1 - BULK[1]))
