"""How far to trust importance weights: effective sample size, Pareto k-hat and its threshold, verdict, histogram."""

import math

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.errors import InputError
from dpm_ppl.likelihood.running import finite_or_zero
from dpm_ppl.likelihood.tails import generalised_pareto_shape

RELIABLE, DOUBTFUL, UNUSABLE, TOO_FEW = VERDICTS = ("reliable", "doubtful", "unusable", "too few draws")

MOST_RELIABLE_KHAT = 0.7
"""Above it the error of an importance-sampling estimate shrinks too slowly to be useful (Vehtari et al. 2024, 3.2)."""
LARGEST_USABLE_KHAT = 1.0
"""At it the fitted tail has no mean left (Vehtari et al. 2024, 2.2)."""

FEWEST_FOR_VERDICT = 256
"""Draws below which no verdict means anything: k-hat is uncertain by 0.3 at 64 and by 0.2 at 256."""
SHAPE_ERRORS = 4.0
"""Standard errors by which a tail must be light beyond doubt before no look at the bulk is needed."""
LARGEST_USABLE_INDEX = 1.0
"""Bulk index at which even the middle of the weights is spread like a law without a mean."""
FEWEST_EFFECTIVE = 10
"""Effective sample size below which an estimate rests on a handful of draws, whatever the others are like."""
MOST_HIDDEN = 0.1
"""Nats by which states of bits that the draws may have missed can move a reliable estimate."""

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

    ArviZ's (Vehtari, Simpson, Gelman, Yao and Gabry 2024, algorithm 1), for all data at once. NaN where there are too
    few draws, or too many ties, to fit; -inf where all the largest weights are equal, so that there is no tail at all.
    """
    log_weights = np.asarray(log_weights, np.float64)
    num_draws = log_weights.shape[-1]
    return khat_of_tail(log_weights, num_draws)


def khat_of_tail(largest: np.ndarray, num_draws: int) -> np.ndarray:
    """`pareto_khat` from no more than the largest log-weights out of `num_draws`, `(..., tail)` to `(...)`."""
    flat = np.sort(largest.reshape(-1, largest.shape[-1]), axis=-1)
    khat = np.full(len(flat), np.nan)
    if num_draws >= FEWEST_FOR_KHAT:
        known = np.isfinite(flat[:, -1])
        khat[known] = _khat(flat[known], num_draws)
    return khat.reshape(largest.shape[:-1])


def _khat(largest: np.ndarray, num_draws: int) -> np.ndarray:
    size = int(3 * math.sqrt(num_draws) if num_draws > 225 else num_draws / 5)
    size = min(size, largest.shape[1] - 1)
    relative = np.maximum(largest[:, -size - 1 :] - largest[:, -1:], math.log(np.finfo(float).tiny))
    weights = np.exp(relative)
    shape = generalised_pareto_shape(weights[:, 1:] - weights[:, :1])
    shape = (size * shape + 5) / (size + 10)  # the prior of ArviZ: ten excesses of shape 0.5
    return np.where(relative[:, 1] == relative[:, -1], -np.inf, shape)


def is_khat_bad(khat: np.ndarray | float, num_draws: np.ndarray | int) -> np.ndarray:
    """Whether k-hat is unknown or above what so many draws allow."""
    khat, num_draws = np.broadcast_arrays(khat, num_draws)
    return np.asarray(~(khat <= most_reliable_khat(num_draws)))


def of_approximation(verdict: str, khat: float, num_draws: int) -> str:
    """The verdict on the law that draws come from, given that on the evidence that they estimate.

    Of an approximation k-hat says how far it is from its target (Yao et al. 2018, section 2): at best `doubtful` where
    it is more than so many draws allow, and `unusable` above 1.
    """
    if khat > LARGEST_USABLE_KHAT:
        return UNUSABLE
    return DOUBTFUL if verdict == RELIABLE and bool(is_khat_bad(khat, num_draws)) else verdict


def most_reliable_khat(num_draws: np.ndarray | int) -> np.ndarray:
    """The largest k-hat that S draws allow, min(1 - 1 / log10 S, 0.7) (Vehtari et al. 2024)."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(1 - 1 / np.log10(num_draws), MOST_RELIABLE_KHAT))


def most_bulk_index(num_draws: np.ndarray | int) -> np.ndarray:
    """Largest bulk index of weights whose standard error covers: 0.45 for 256 draws, and more for more, up to 0.75."""
    return np.minimum(0.45 + 0.06 * np.log2(np.maximum(num_draws, 1) / 256), 0.75)


def most_light_shape(num_draws: np.ndarray | int) -> np.ndarray:
    """Shape below which a tail, four standard errors added, is light beyond doubt: 0.45 from 1,024 draws on.

    For 256, whose upper quarter may miss all that is heavy, 0.2.
    """
    return np.minimum(0.2 + 0.125 * np.log2(np.maximum(num_draws, 1) / 256), 0.45)


def verdicts(
    se: np.ndarray | float,
    ess: np.ndarray | float,
    bulk: np.ndarray | float,
    shape: np.ndarray | float,
    num_draws: np.ndarray | int,
    hidden: np.ndarray | float = 0.0,
) -> np.ndarray:
    """`reliable`, `doubtful`, `unusable` or `too few draws` for every datum.

    Reliable means that the truth lies within 1.96 of the standard error in 94 of 100 cases. That is measured
    (`python -m benchmarks.coverage`) for weights whose `bulk` index is at most `most_bulk_index`, or whose tail is
    light beyond doubt: `shape`, its index with four standard errors added, at most `most_light_shape`. It does not go
    by k-hat: of the samples from a heavy tail that would choose those that have missed it. Unusable is an estimate that
    is not finite, or weights with a bulk index above 1.

    Besides, a reliable estimate rests on at least ten effective draws, and rare states that all of them may have missed
    move it by at most 0.1 nats: `hidden`, NaN where that cannot be known (see `dpm_ppl.likelihood.hidden_states`).
    """
    se, ess, bulk, shape, num_draws, hidden = np.broadcast_arrays(se, ess, bulk, shape, num_draws, hidden)
    finite = np.isfinite(se)
    steady = finite & ((bulk <= most_bulk_index(num_draws)) | (shape <= most_light_shape(num_draws)))
    unusable = ~finite | (~steady & ~(bulk <= LARGEST_USABLE_INDEX))
    few = (finite | (num_draws < 2)) & (num_draws < FEWEST_FOR_VERDICT)  # one draw has no error
    reliable = steady & (ess >= FEWEST_EFFECTIVE) & (hidden <= MOST_HIDDEN)
    return np.select([few, unusable, reliable], [TOO_FEW, UNUSABLE, RELIABLE], DOUBTFUL)


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


def _finite_peak(log_weights: ArrayLike) -> np.ndarray:
    return finite_or_zero(np.max(np.asarray(log_weights), axis=-1, keepdims=True))
