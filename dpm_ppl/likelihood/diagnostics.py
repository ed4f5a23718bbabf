"""What the weights themselves say about an estimate: effective sample size, Pareto k-hat, a verdict, a histogram."""

import math

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._errors import InputError
from dpm_ppl.likelihood.running import finite_or_zero

RELIABLE, DOUBTFUL, UNUSABLE = VERDICTS = ("reliable", "doubtful", "unusable")

MOST_RELIABLE_KHAT = 0.7
"""Above it the error of an importance-sampling estimate shrinks too slowly to be useful (Vehtari et al. 2024, 3.2)."""
LARGEST_USABLE_KHAT = 1.0
"""At it the fitted tail has no mean left (Vehtari et al. 2024, 2.2)."""
MOST_RELIABLE_SE, LARGEST_USABLE_SE = 0.1, 0.5
"""Nats. The delta method takes log(1 + e) for e, the relative error of the mean weight; what it neglects, e^2 / 2, is
half a percent of a nat at 0.1 and an eighth of one at 0.5."""

EQUAL_WEIGHTS = 1e-3
"""Coefficient of variation below which the weights count as equal."""

FEWEST_FOR_KHAT = 30
"""Draws that leave six of them for the tail, the fewest that ArviZ's fit finds a first quartile in."""


def effective_sample_size(log_weights: ArrayLike) -> np.ndarray:
    """(sum w)^2 / sum w^2 over the last axis (Kong 1992): `(..., draw)` to `(...)`."""
    log_weights = np.asarray(log_weights, np.float64)
    weights = np.exp(log_weights - _finite_peak(log_weights))
    return np.asarray(weights.sum(axis=-1) ** 2 / np.square(weights).sum(axis=-1))


def pareto_khat(log_weights: ArrayLike) -> np.ndarray:
    """Shape of the generalised Pareto law fitted to the largest weights of each datum, `(..., draw)` to `(...)`.

    ArviZ's fit (Vehtari, Simpson, Gelman, Yao and Gabry 2024, algorithm 1). NaN where there are too few draws, or too
    many ties, to fit; -inf where all the largest weights are equal, so that there is no tail at all.
    """
    log_weights = np.asarray(log_weights, np.float64)
    num_draws = log_weights.shape[-1]
    return khat_of_tail(log_weights, num_draws)


def khat_of_tail(largest: np.ndarray, num_draws: int) -> np.ndarray:
    """`pareto_khat` from no more than the largest log-weights out of `num_draws`, `(..., tail)` to `(...)`."""
    flat = np.sort(largest.reshape(-1, largest.shape[-1]), axis=-1)
    return np.array([_khat(row, num_draws) for row in flat]).reshape(largest.shape[:-1])


def verdicts(khat: np.ndarray | float, se: np.ndarray | float, num_draws: np.ndarray | int) -> np.ndarray:
    """`reliable`, `doubtful` or `unusable` for every datum.

    Reliable needs k-hat up to min(1 - 1 / log10 S, 0.7), the threshold of Vehtari et al. (2024) for S draws, and a
    standard error up to 0.1 nats; unusable is a k-hat above 1, a standard error above 0.5 nats, or an estimate that is
    not finite. Weights that agree to three digits are reliable whatever shape their rounding errors have.
    """
    khat, se, num_draws = np.broadcast_arrays(khat, se, num_draws)
    equal = _are_equal(se, num_draws)
    reliable = equal | (~is_tail_bad(khat, se, num_draws) & (se <= MOST_RELIABLE_SE))
    unusable = ~equal & ((khat > LARGEST_USABLE_KHAT) | ~(se <= LARGEST_USABLE_SE))
    return np.select([reliable, unusable], [RELIABLE, UNUSABLE], DOUBTFUL)


def is_tail_bad(khat: np.ndarray | float, se: np.ndarray | float, num_draws: np.ndarray | int) -> np.ndarray:
    """Whether k-hat is unknown or above min(1 - 1 / log10 S, 0.7), for weights that are not equal."""
    khat, se, num_draws = np.broadcast_arrays(khat, se, num_draws)
    with np.errstate(divide="ignore"):
        allowed = np.minimum(1 - 1 / np.log10(num_draws), MOST_RELIABLE_KHAT)
    return np.asarray(~_are_equal(se, num_draws) & ~(khat <= allowed))


def _are_equal(se: np.ndarray, num_draws: np.ndarray) -> np.ndarray:
    return np.asarray(se * np.sqrt(num_draws) < EQUAL_WEIGHTS)


def weight_histogram(log_weights: ArrayLike, num_bins: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Counts `(datum, bin)` and edges `(bin + 1,)` of log w less its mean-exp, for a plot; one grid for all data."""
    log_weights = np.asarray(log_weights, np.float64)
    if log_weights.ndim != 2 or log_weights.shape[1] == 0 or not np.isfinite(log_weights).any():
        raise InputError(
            "log_weights",
            expected="finite log-weights (datum, draw)",
            got=f"shape {log_weights.shape}",
            remedy="keep them with log_likelihood(..., keep_log_weights=True)",
        )
    peak = _finite_peak(log_weights)
    relative = log_weights - peak - np.log(np.exp(log_weights - peak).mean(axis=-1, keepdims=True))
    finite = relative[np.isfinite(relative)]
    edges = np.histogram_bin_edges(finite, num_bins)
    return np.stack([np.histogram(row[np.isfinite(row)], edges)[0] for row in relative]), edges


def _khat(largest: np.ndarray, num_draws: int) -> float:
    from arviz_stats.base.array import array_stats  # takes seconds, which a caller without an estimate should not wait

    if num_draws < FEWEST_FOR_KHAT or not np.isfinite(largest[-1]):
        return math.nan
    tail = int(3 * math.sqrt(num_draws) if num_draws > 225 else num_draws / 5)
    tail = min(tail, len(largest) - 1)
    # psislw wants all the weights but looks at the largest only: as many as its own rule takes from 5 tail + 5 of them,
    # told an r_eff that makes this the number asked for. The others are stood in for by the cutoff.
    largest = largest[-tail - 1 :] - largest[-1]
    largest = np.maximum(largest, math.log(np.finfo(float).tiny))
    if largest[-1] == largest[1]:
        return -math.inf
    size = 5 * tail + 5
    filled = np.concatenate([np.full(size - len(largest), largest[0]), largest])
    r_eff = size / ((tail + 0.5) / 3) ** 2
    return float(array_stats.psislw(-filled, r_eff=r_eff)[1])


def _finite_peak(log_weights: ArrayLike) -> np.ndarray:
    return finite_or_zero(np.max(log_weights, axis=-1, keepdims=True))
