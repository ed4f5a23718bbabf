"""Figures of sets of data: means, paired differences, means over weighed subsets, rises, gaps, distances."""

from collections.abc import Iterator

import numpy as np

from benchmarks.coverage.regimes import VALUES
from benchmarks.coverage.row import Measure, Row, covers, row
from dpm_ppl.estimates import estimate


def means(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """`estimate` of few and many values."""
    for regime, law in VALUES.items():
        for num in (10, 20, 100, 1000):
            found = estimate(law.draw(rng, (num, repetitions)))
            yield row(regime, f"mean of {num:,}", covers(found.mean, found.se, law.mean))


MEASURES: tuple[Measure, ...] = (means,)
