"""Running sums of importance weights, which never hold the draws: one `RunningWeights` for each chunk of data.

Everything is NumPy in float64, whatever the weights were computed in, and can be saved as a flat tree of arrays.
"""

from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np

NUM_POWERS = 32
"""Powers of two that the ladder keeps account of."""
MOST_DRAWS = 2 ** (NUM_POWERS - 1) - 1
NUM_REPLICATES = 100
"""Of the bootstrap: its standard error is known to 1 / sqrt(200), 7 percent."""
TAIL = 1024
"""Largest weights kept per datum; k-hat wants 3 sqrt(S) of S draws, and from 116,000 on makes do with these."""
BULK = 1024
"""First weights kept per datum, a fair sample of all of them."""


@dataclass
class Moments:
    """Mean and sum of squared deviations of values that come in batches (Chan, Golub and LeVeque 1983)."""

    mean: np.ndarray
    squares: np.ndarray

    def add(self, index: int, num_before: int, values: np.ndarray) -> None:
        """Batch `(datum, value)` to row `index`, which holds `num_before` values so far."""
        num = values.shape[1]
        if num == 0:
            return
        mean = values.mean(axis=1)
        shift = mean - self.mean[index]
        share = num / (num_before + num)
        self.squares[index] += np.square(values - mean[:, None]).sum(axis=1) + shift**2 * num_before * share
        lost = np.isneginf(mean) | np.isneginf(self.mean[index])
        self.mean[index] = np.where(lost, -np.inf, self.mean[index] + shift * share)

    def variance(self, index: int, num: int) -> np.ndarray:
        """Of row `index`, which holds `num` values; NaN for fewer than two."""
        return self.squares[index] / (num - 1) if num > 1 else np.full_like(self.squares[index], np.nan)


@dataclass
class RunningWeights:
    """What is kept of `num_draws` log-weights of each of a chunk of data.

    - `peak`: the largest log-weight, to which all sums of weights are relative.
    - `weight_sum`, `square_sum`, `cube_sum`: of w, w^2 and w^3.
    - `tail`: the largest log-weights, in no order; `bulk`: the first.
    - `jumps`: of `hidden_states`, if they are needed.
    - `replicate_*`: the same draws counted Poisson(1) times each, in `NUM_REPLICATES` ways (Poisson bootstrap): number,
      sum of w, of log w and of its square; logarithms relative to `origin`, the first of them.
    - `group_means`, `rises`: moments of the log-mean of 2^j draws that follow each other, and of what that is above the
      mean over its two halves. `pending` holds the half that waits for the other, where bit j of `num_draws` is set.
    """

    num_data: int
    seed: int
    num_draws: int = 0
    peak: np.ndarray = field(init=False)
    weight_sum: np.ndarray = field(init=False)
    square_sum: np.ndarray = field(init=False)
    cube_sum: np.ndarray = field(init=False)
    tail: np.ndarray = field(init=False)
    bulk: np.ndarray = field(init=False)
    jumps: np.ndarray = field(init=False)
    origin: np.ndarray = field(init=False)
    replicate_num: np.ndarray = field(init=False)
    replicate_weight: np.ndarray = field(init=False)
    replicate_log: np.ndarray = field(init=False)
    replicate_square: np.ndarray = field(init=False)
    pending: np.ndarray = field(init=False)
    group_means: Moments = field(init=False)
    rises: Moments = field(init=False)

    STATIC: ClassVar = ("num_data", "seed")

    def __post_init__(self):
        num, by_power = self.num_data, (NUM_POWERS, self.num_data)
        self.peak = np.full(num, -np.inf)
        self.weight_sum, self.square_sum, self.cube_sum, self.origin = np.zeros((4, num))
        self.tail, self.bulk = np.empty((2, num, 0))
        self.jumps = np.empty((num, 0, 2))
        self.replicate_num = np.zeros(NUM_REPLICATES)
        self.replicate_weight, self.replicate_log, self.replicate_square = np.zeros((3, num, NUM_REPLICATES))
        self.pending = np.zeros(by_power)
        self.group_means, self.rises = (Moments(np.zeros(by_power), np.zeros(by_power)) for _ in range(2))

    def add(self, log_weights: np.ndarray) -> None:
        """The next draws of every datum, `(datum, draw)`."""
        log_weights = np.asarray(log_weights, np.float64)
        if self.num_draws == 0:
            self.origin = np.where(np.isfinite(log_weights[:, 0]), log_weights[:, 0], 0.0)
        tail = np.concatenate([self.tail, log_weights], axis=1)
        self.tail = np.partition(tail, -TAIL, axis=1)[:, -TAIL:] if tail.shape[1] > TAIL else tail
        self.bulk = np.concatenate([self.bulk, log_weights[:, : BULK - self.bulk.shape[1]]], axis=1)
        with np.errstate(invalid="ignore"):  # a weight of zero has an infinite logarithm, a failed one none
            self._rescale(log_weights)
            weights = np.exp(log_weights - finite_or_zero(self.peak)[:, None])
            self.weight_sum += weights.sum(axis=1)
            self.square_sum += np.square(weights).sum(axis=1)
            self.cube_sum += (weights**3).sum(axis=1)
            self._resample(log_weights, weights)
            self._climb(log_weights)
        self.num_draws += log_weights.shape[1]

    def _rescale(self, log_weights: np.ndarray) -> None:
        peak = np.maximum(self.peak, log_weights.max(axis=1))
        factor = np.exp(np.where(np.isfinite(self.peak), self.peak - finite_or_zero(peak), 0.0))
        self.weight_sum *= factor
        self.square_sum *= factor**2
        self.cube_sum *= factor**3
        self.replicate_weight *= factor[:, None]
        self.peak = peak

    def _resample(self, log_weights: np.ndarray, weights: np.ndarray) -> None:
        # Seeded by the number of draws so far, so that after an interruption all goes on as if there had been none. All
        # data share the counts, as every datum's standard error is its own.
        generator = np.random.default_rng([self.seed, self.num_draws])
        counts = generator.poisson(1.0, (log_weights.shape[1], NUM_REPLICATES)).astype(float)
        relative = log_weights - self.origin[:, None]
        self.replicate_num += counts.sum(axis=0)
        self.replicate_weight += weights @ counts
        self.replicate_log += relative @ counts
        self.replicate_square += np.square(relative) @ counts

    def _climb(self, values: np.ndarray) -> None:
        num_before = self.num_draws
        for power in range(NUM_POWERS):
            self.group_means.add(power, num_before, values)
            if num_before % 2:
                values = np.concatenate([self.pending[power][:, None], values], axis=1)
            num_pairs = values.shape[1] // 2
            if values.shape[1] % 2:
                self.pending[power] = values[:, -1]
            first, second = values[:, 0 : 2 * num_pairs : 2], values[:, 1 : 2 * num_pairs : 2]
            values = np.logaddexp(first, second) - np.log(2)
            num_before //= 2
            if num_pairs == 0 or power + 1 == NUM_POWERS:
                return
            self.rises.add(power + 1, num_before, values - (first + second) / 2)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that has to be saved, by name."""
        flat = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in self.STATIC}
        for name in ("group_means", "rises"):
            moments = flat.pop(name)
            flat |= {f"{name}_mean": moments.mean, f"{name}_squares": moments.squares}
        return {name: np.asarray(value) for name, value in flat.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], seed: int) -> "RunningWeights":
        """What `arrays` has saved."""
        kept = cls(len(arrays["peak"]), seed)
        for name in ("group_means", "rises"):
            setattr(kept, name, Moments(arrays[f"{name}_mean"].copy(), arrays[f"{name}_squares"].copy()))
        for name in kept.arrays().keys() - {f"{m}_{s}" for m in ("group_means", "rises") for s in ("mean", "squares")}:
            setattr(kept, name, arrays[name].copy())
        kept.num_draws = int(arrays["num_draws"])
        return kept


def finite_or_zero(peak: np.ndarray) -> np.ndarray:
    """The largest log-weights, to take others relative to, or 0 where all weights are zero or one has failed."""
    return np.where(np.isfinite(peak), peak, 0.0)
