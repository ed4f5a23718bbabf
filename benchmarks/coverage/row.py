"""One row of the table: a figure in a regime, and how many of its intervals held the truth."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

NORMAL_QUANTILE = 1.96
"""What users take times a standard error for 95 percent."""

ENOUGH = 400
"""Repetitions from which a coverage is judged as it is."""
SURPRISE = 0.001
"""Of fewer, a row fails where so few hits would be this improbable if the least coverage were the true one: the table
has some 300 rows."""


@dataclass(frozen=True)
class Row:
    """`hits` of `repetitions` intervals held the truth. The row holds where that is at least `least`, as far as known.

    `reliable_share` is the share of all estimates that were called reliable, where only those are judged.
    """

    regime: str
    figure: str
    hits: int
    repetitions: int
    reliable_share: float | None = None
    least: float = 0.93

    @property
    def coverage(self) -> float:
        return self.hits / self.repetitions if self.repetitions else float("nan")

    @property
    def holds(self) -> bool:
        if 0 < self.repetitions < ENOUGH:
            return bool(binom.cdf(self.hits, self.repetitions, self.least) >= SURPRISE)
        return bool(self.coverage >= self.least)  # NaN holds nothing

    def cells(self) -> list[str]:
        share = "" if self.reliable_share is None else f"{self.reliable_share:.2f}"
        return [self.regime, self.figure, f"{self.coverage:.3f}", f"{self.repetitions:,}", share]


type Measure = Callable[[int, np.random.Generator], Iterable[Row]]
"""Takes a number of repetitions and a generator."""


def covers(mean: ArrayLike, se: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Whether the truth lies within 1.96 standard errors of the mean; False where the error is not a number."""
    return np.abs(np.asarray(mean) - truth) <= NORMAL_QUANTILE * np.asarray(se)


def row(regime: str, figure: str, hits: ArrayLike, **more) -> Row:
    """From one boolean per repetition."""
    hits = np.asarray(hits)
    return Row(regime, figure, int(hits.sum()), hits.size, **more)
