"""`Ladder`: what more particles per estimate bring, from K up to the log-likelihood, all from one set of draws."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.wording import short_repr
from dpm_ppl.estimates.standard_errors import Estimate, estimate, paired_difference
from dpm_ppl.estimates.widening import CHI_SQUARE_1, widening
from dpm_ppl.likelihood.running import Moments, RunningWeights


@dataclass(frozen=True)
class Ladder:
    """The same draws averaged in groups: values rise in expectation with the size of the group.

    - `num_particles` `(size,)`: particles behind one log-mean; the first value of plain trajectories is K.
    - `values`, `se` `(datum, size)`: the average log-mean over disjoint groups of each datum's draws, nats, and its
      Monte-Carlo standard error (NaN for a single group), wide enough for few groups of skewed values.
    - `rises`, `rises_se` `(datum, size - 1)`: from each size to the next, and the standard error of that difference
      with the draws that both share paired (NaN where there is one group).
    """

    __repr__ = short_repr

    num_particles: np.ndarray
    values: np.ndarray
    se: np.ndarray
    rises: np.ndarray
    rises_se: np.ndarray

    def means(self) -> list[Estimate]:
        """The mean over data for every size, with the standard error over data."""
        return [estimate(column) for column in self.values.T]

    def mean_rises(self) -> list[Estimate]:
        """The mean rise from each size to the next, paired datum by datum."""
        return [paired_difference(above, below) for below, above in pairwise(self.values.T)]


def ladder(log_weights: np.ndarray, num_draws: Sequence[int]) -> Ladder:
    """The ladder of any increasing numbers of draws, from log-weights `(datum, draw)` that were kept.

    Each value averages over as many disjoint groups as the draws hold. The errors of rises pair groups with the smaller
    ones in them where one number divides the next, and are NaN otherwise.

    **Raises:** `InputError` unless the numbers increase from 1 or more to no more than the number of draws.
    """
    log_weights = np.asarray(log_weights, np.float64)
    counts = list(num_draws)
    most = log_weights.shape[-1] if log_weights.ndim == 2 else 0
    increasing = bool(counts) and counts[0] >= 1 and all(below < above for below, above in pairwise(counts))
    if not increasing or counts[-1] > most:
        raise InputError(
            "num_draws",
            expected=f"increasing numbers from 1 to {most}, the draws in log_weights (datum, draw)",
            got=f"{counts} for log_weights of shape {log_weights.shape}",
            remedy="for example (1, 10, 100); draw more for more",
        )
    means = [_group_means(log_weights, count) for count in counts]
    rises = [(above.mean(axis=1) - below.mean(axis=1), np.full(len(above), np.nan)) for below, above in pairwise(means)]
    for place, (below, above) in enumerate(pairwise(counts)):
        if above % below == 0:
            paired = means[place][:, : means[place + 1].shape[1] * (above // below)]
            differences = means[place + 1] - paired.reshape(len(paired), -1, above // below).mean(axis=2)
            rises[place] = differences.mean(axis=1), _se(differences)
    values, se = (np.stack([of(mean) for mean in means], axis=1) for of in (_mean, _se))
    none = np.empty((len(log_weights), 0))
    rise, rise_se = (np.stack([pair[i] for pair in rises], axis=1) if rises else none for i in (0, 1))
    return Ladder(np.array(counts), values, se, rise, rise_se)


def _group_means(log_weights: np.ndarray, size: int) -> np.ndarray:
    num_groups = log_weights.shape[1] // size
    groups = log_weights[:, : num_groups * size].reshape(len(log_weights), num_groups, size)
    return np.logaddexp.reduce(groups, axis=2) - np.log(size)


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=1)


def _se(values: np.ndarray) -> np.ndarray:
    num = values.shape[1]
    return values.std(axis=1, ddof=1) * _per_spread(num) if num > 1 else np.full(len(values), np.nan)


def _per_spread(num_groups: np.ndarray | int) -> np.ndarray:
    """Standard errors per standard deviation of a group's value.

    Running sums keep no third moment, and few groups would not show it: a rise is about half a squared difference of
    logarithms, as skewed as a chi-square law with one degree of freedom, and that is what is allowed for.
    """
    return np.asarray(widening(num_groups, CHI_SQUARE_1) / np.sqrt(num_groups))


def ladder_of(kept: list[RunningWeights], estimates: np.ndarray, particles_per_draw: int) -> Ladder:
    """The ladder of powers of two, from running sums.

    It goes up to as many draws as all data have. Where that is no power of two, the last value is the estimate itself;
    what is left over stands in no other group.
    """
    num = min(weights.num_draws for weights in kept)
    powers = range(num.bit_length())
    counts = [2**power for power in powers]
    values, se = _joined(_column(weights.group_means, weights, powers) for weights in kept)
    rises, rises_se = _joined(_column(weights.rises, weights, powers[1:]) for weights in kept)
    if counts[-1] < num:
        unknown = np.full((len(values), 1), np.nan)
        with np.errstate(invalid="ignore"):
            last_rise = estimates[:, None] - values[:, -1:]
        counts.append(num)
        rises, rises_se = np.hstack([rises, last_rise]), np.hstack([rises_se, unknown])
        values, se = np.hstack([values, estimates[:, None]]), np.hstack([se, unknown])
    return Ladder(np.array(counts) * particles_per_draw, values, se, rises, rises_se)


def _joined(columns: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    first, second = zip(*columns, strict=True)
    return np.concatenate(first), np.concatenate(second)


def _column(moments: Moments, weights: RunningWeights, powers: range) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error `(datum, power)` of what `moments` holds in disjoint groups of 2^power draws."""
    if not powers:
        return np.empty((weights.num_data, 0)), np.empty((weights.num_data, 0))
    groups = [weights.num_draws >> power for power in powers]
    spread = [np.sqrt(moments.variance(power, num)) for power, num in zip(powers, groups, strict=True)]
    return moments.mean[powers.start : powers.stop].T, np.stack(spread, axis=1) * _per_spread(np.array(groups))
