"""`Entry`, one method in a comparison: its values for single data, and its figures in the unit of the table."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpm_ppl._common.checks import check_shape
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.wording import AT_LEAST, AT_MOST, failures, short_repr
from dpm_ppl.analysis.comparison.scale import FINITE, Scale
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.bounds import Bound
from dpm_ppl.estimates.standard_errors import Estimate, estimate, is_above, paired_difference
from dpm_ppl.evaluation import Measured
from dpm_ppl.evaluation.importance_scores import K_with_weights, LadderRow, summarise, why_K_stands
from dpm_ppl.evaluation.scores import Scores
from dpm_ppl.likelihood import LogLikelihood

GIVEN = "values as given"
"""The form of figures of which nothing else is known."""
SIGNIFICANT = 2.0
"""Standard errors between two methods from which on their order counts as known."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A method and what was measured of it; figures are in the unit of `scale`."""

    __repr__ = short_repr

    name: str
    measured: Measured
    scale: Scale
    form: str
    """What its K is: the bound of the two chains, an ELBO, or given values."""

    @property
    def K_values(self) -> np.ndarray:
        """K of every datum, nats."""
        return self.measured.scores.K_values

    @property
    def is_exact(self) -> bool:
        """Whether K is the log-likelihood itself."""
        return self.measured.is_exact

    @property
    def is_importance_weighted(self) -> bool:
        """Whether its best bound is the importance-weighted one."""
        return self.measured.is_importance_weighted

    @property
    def _weights(self) -> LogLikelihood | None:
        return self.measured.weights if self.is_importance_weighted else None

    @property
    def places(self) -> np.ndarray:
        """Which data `values` are of."""
        weights = self._weights
        return np.arange(len(self.K_values)) if weights is None else np.flatnonzero(weights.num_draws)

    @property
    def values(self) -> np.ndarray:
        """The best lower bound of single data, nats."""
        weights = self._weights
        return self.K_values if weights is None else weights.log_likelihood[self.places]

    @property
    def control(self) -> np.ndarray:
        """What is known of all data and goes with `values`, nats: K, from all particles where there are weights."""
        weights = self._weights
        return self.K_values if weights is None else K_with_weights(self.K_values, weights)

    @property
    def K(self) -> Estimate:
        """K over all data."""
        return self.scale.figure(self.measured.scores.K)

    @property
    def gap_of_K(self) -> Estimate | None:
        """What K lacks to the exact value, paired."""
        gap = self.measured.scores.gap
        return None if gap is None else self.scale.advantage(gap)

    @property
    def ladder(self) -> list[LadderRow]:
        """The importance-weighted figures, from one particle upwards."""
        return [] if self.measured.importance is None or self.is_exact else self.measured.importance.ladder

    @property
    def best(self) -> Estimate:
        """The best lower bound, over all data."""
        return self.scale.figure(self.measured.best)

    @property
    def gap(self) -> Estimate | None:
        """What it lacks to the exact value, paired."""
        if not self.is_importance_weighted:
            return self.gap_of_K
        gap = self.ladder[-1].gap
        return None if gap is None else self.scale.advantage(gap)

    @property
    def is_finite(self) -> bool:
        """Whether `best` is a number."""
        return self.scale.kind(self.best) == FINITE

    @property
    def failures(self) -> str:
        """Why it is not, in words."""
        return failures(self.values) or failures(self.K_values)

    @property
    def side(self) -> str:
        """`at least` or `at most` where `best` is a bound that may lie far from what it bounds; nothing elsewhere."""
        return "" if self.form == GIVEN or self.measured.is_reached else self.scale.side

    @property
    def kind_of_best(self) -> str:
        """What `best` is, in words."""
        if self.is_importance_weighted:
            return f"importance-weighted with {self.ladder[-1].num_particles:,} particles"
        if self.is_exact:
            return "its log-likelihood"
        importance = self.measured.importance
        if importance is None:
            return self.form
        return f"{self.form}: {why_K_stands(self.scale.advantage(importance.gain), self.scale.unit)}"

    @property
    def doubtful_share(self) -> float | None:
        """Share of the data with weights whose estimate is not reliable; None where K is the log-likelihood itself."""
        importance = self.measured.importance
        return None if importance is None or self.is_exact else importance.doubtful_share

    def figures(self) -> list[dict[str, Any]]:
        """A row per figure."""
        scores, importance, sandwich = self.measured.scores, self.measured.importance, self.measured.sandwich
        first = "log-likelihood" if self.is_exact else self.form
        draws = {} if self.is_exact else {"num_draws": scores.num_draws}
        rows = [self._row(first, self.K, **draws, gap=self.gap_of_K)]
        for row in self.ladder:
            rows.append(
                self._row(
                    "importance-weighted",
                    self.scale.figure(row.mean),
                    num_particles=row.num_particles,
                    num_draws=row.num_draws,
                    num_with_weights=importance.num_points if importance else 0,
                    gap=None if row.gap is None else self.scale.advantage(row.gap),
                )
            )
        rows[-1 if self.is_importance_weighted else 0] |= {"side": self.side} if self.side else {}
        if importance is not None and self.ladder:
            rows[-1] |= {"ess_median": importance.ess_median, "doubtful_share": importance.doubtful_share}
            rows.append(
                self._row(
                    "cumulant, no bound", self.scale.figure(importance.cumulant), num_with_weights=importance.num_points
                )
            )
        if sandwich is not None:
            shares = {"num_particles": sandwich.num_particles, "doubtful_share": sandwich.forward.doubtful_share}
            shares |= {"num_points": len(sandwich.x_0)}
            other = AT_MOST if self.scale.side == AT_LEAST else AT_LEAST
            for bound, side in (("lower", self.scale.side), ("upper", other)):
                figure = self.scale.figure(sandwich.figures()[bound] / math.log(2))
                rows.append(self._row("simulated data", figure, side=side, **shares))
        return rows

    def _row(self, figure: str, value: Estimate, *, gap: Estimate | None = None, **more: Any) -> dict[str, Any]:
        row = {"method": self.name, "figure": figure, "value": float(value.mean), "se": float(value.se)}
        row |= {"unit": self.scale.unit, "num_points": len(self.K_values), **more}
        return row if gap is None else row | {"gap": float(gap.mean), "gap_se": float(gap.se)}


def entry_of(name: str, result: Any, scale: Scale, exact: np.ndarray | None) -> Entry:
    """What `compare_bounds` was given under this name.

    **Raises:** `InputError` for a result of another kind, and exact values of other data.
    """
    if isinstance(result, Measured):
        form = "ELBO" if result.scores.L_null is None else "K"
        return Entry(name, _with_exact(name, result, scale.units, exact), scale, form)
    if isinstance(result, LogLikelihood):
        if not result.num_draws.all():
            raise InputError(
                f"results[{name!r}]", expected="draws for all data", got="an interrupted estimate", remedy="finish it"
            )
        scores = _scores(name, result.K, scale, exact, int(result.num_draws.min()))
        measured = Measured(scale.units, scores, result, summarise(result, scale.units, scores))
        first = int(result.ladder.num_particles[0])
        return Entry(name, measured, scale, "mean log-weight" if first == 1 else f"log-mean of {first} particles")
    if isinstance(result, Bound):
        scores = _scores(name, np.asarray(result.K, np.float64), scale, exact, result.num_draws)
        return Entry(name, Measured(scale.units, scores), scale, "K")
    values = np.asarray(result)
    if values.dtype.kind not in "iuf" or values.ndim != 1 or len(values) < 2:
        raise InputError(
            f"results[{name!r}]",
            expected="what measure, log_likelihood or bound returns, or log-likelihoods (datum,) in nats",
            got=f"{type(result).__name__} of shape {values.shape}",
            remedy="measure(Program(model, guide, event_shape=..., params=svi_result.params), data, key) for a program",
        )
    scores = _scores(name, values.astype(np.float64), scale, exact, 1)
    return Entry(name, Measured(scale.units, scores), scale, GIVEN)


def known_better(advantage: Estimate) -> bool:
    """Whether a paired advantage is more than two standard errors, so that the order of two methods counts as known."""
    return is_above(advantage, SIGNIFICANT)


def _scores(name: str, K: np.ndarray, scale: Scale, exact: np.ndarray | None, num_draws: int) -> Scores:
    if exact is not None:
        check_shape(
            "exact", exact, K.shape, expected=f"a value for each datum of {name}, shape {K.shape}", remedy="same data"
        )

    def in_bits(values: Estimate) -> Estimate:
        return scale.units.in_units(values, "bits/point")

    return Scores(
        unit=f"bits/{scale.datum}",
        num_points=len(K),
        num_draws=num_draws,
        K=in_bits(estimate(K)),
        K_original=in_bits(estimate(K + scale.units.log_det)),
        K_values=K,
        exact_values=exact,
        exact=None if exact is None else in_bits(estimate(exact)),
        gap=None if exact is None else in_bits(paired_difference(exact, K)),
    )


def _with_exact(name: str, result: Measured, units: Units, exact: np.ndarray | None) -> Measured:
    if result.scores.exact is not None or exact is None:
        return result
    scale = Scale(units, result.scores.unit.partition("/")[2])
    scores = _scores(name, result.scores.K_values, scale, exact, result.scores.num_draws)
    weights = result.weights
    importance = None if weights is None else summarise(weights, units, scores)
    return Measured(result.units, scores, weights, importance, result.sandwich)
