"""Figures of single data: log-likelihoods and what is said of them."""

from benchmarks.coverage.row import Measure

MEASURES: tuple[Measure, ...] = ()
