"""`Measured`, the figures of one method; which of its lower bounds is the best, and whether it has reached its mark."""

import math
from dataclasses import dataclass

import numpy as np

from dpm_ppl._common.wording import short_repr
from dpm_ppl.data.units import Units
from dpm_ppl.estimates.standard_errors import Estimate, is_above
from dpm_ppl.evaluation.importance_scores import ImportanceScores
from dpm_ppl.evaluation.scores import Scores
from dpm_ppl.likelihood import LogLikelihood, Sandwich


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of one method and the values of single data behind them, nats of standardised data.

    `scores` has K of all data. `weights`, if any were drawn, has the importance-weighted log-likelihood of the first of
    them, and `importance` what follows from both for all. `sandwich` bounds the likelihood of simulated data.
    """

    __repr__ = short_repr

    units: Units
    scores: Scores
    weights: LogLikelihood | None = None
    importance: ImportanceScores | None = None
    sandwich: Sandwich | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C has ended it before all particles were drawn."""
        certified = self.sandwich is not None and self.sandwich.forward.interrupted
        return certified or (self.weights is not None and self.weights.interrupted)

    @property
    def is_exact(self) -> bool:
        """Whether all weights of a datum are equal, so that K is the log-likelihood itself."""
        return self.weights is not None and bool(self.weights.is_exact.all())

    @property
    def is_importance_weighted(self) -> bool:
        """Whether the best bound is the importance-weighted one: above K by more than the error of the difference.

        Otherwise K is, which is as good a bound and knows all data. So weights of few data never make a method worse.
        """
        importance = self.importance
        if importance is None or self.is_exact:
            return False
        K, weighted = self.scores.K.mean, importance.ladder[-1].mean.mean
        if not math.isfinite(K):  # where it failed, weights of all data alone can stand for it
            return math.isfinite(weighted) and bool(np.isneginf(K) or importance.num_points == self.scores.num_points)
        return bool(weighted >= K) and is_above(importance.gain, 1.0)

    @property
    def best(self) -> Estimate:
        """The best lower bound of the log-likelihood of all data, in the unit of the scores."""
        if self.importance is not None and self.is_importance_weighted:
            return self.importance.ladder[-1].mean
        return self.scores.K

    @property
    def best_bits_per_dim(self) -> Estimate | None:
        """The same as a code length, where the data have levels."""
        if self.importance is not None and self.is_importance_weighted:
            return self.importance.bits_per_dim
        return self.scores.bits_per_dim

    @property
    def is_reached(self) -> bool:
        """Whether `best` has reached the log-likelihood, as far as its error tells; otherwise it may lie far below."""
        if self.importance is not None and self.is_importance_weighted:
            return not self.importance.doubtful_share
        return self.is_exact
