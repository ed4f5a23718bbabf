"""Held-out log-likelihoods by importance weights, in the units and beside the figures of `scores`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dpm_ppl._common.checks import check_key, one_of
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.units import Units
from dpm_ppl.estimates.standard_errors import Estimate, finite_or_none, is_above, paired_difference
from dpm_ppl.estimates.subsets import extended_mean
from dpm_ppl.evaluation.scores import Scores
from dpm_ppl.likelihood import (
    LogLikelihood,
    Sandwich,
    log_likelihood,
)
from dpm_ppl.likelihood.diagnostics import RELIABLE, VERDICTS
from dpm_ppl.likelihood.proposals import PROPOSALS, default_proposal
from dpm_ppl.methods.base import AbstractMethod

NUM_POINTS = 100
"""Held-out data that importance weights look at where nobody says how many."""


@dataclass(frozen=True)
class LadderRow:
    """The held-out mean by estimates from `num_particles` each, in `num_draws` of the proposal; unit of the scores.

    `mean` is for all held-out data (see `summarise`), and so is `gap`, what it lacks to the exact value, paired; `rise`
    is what is gained over the row below, paired over the data that have weights.
    """

    num_particles: int
    num_draws: int
    mean: Estimate
    rise: Estimate | None
    gap: Estimate | None

    def as_json(self) -> dict[str, Any]:
        """One flat object."""
        known = {"rise": self.rise, "gap": self.gap}
        return {
            "num_particles": self.num_particles,
            "num_draws": self.num_draws,
            **self.mean.as_json(),
            **{name: value.as_json() if value else None for name, value in known.items()},
        }


@dataclass(frozen=True)
class ImportanceScores:
    """Importance-weighted figures of `num_heldout` data, `num_points` of which have weights, and how far to trust them.

    `ladder` leads from K to the log-likelihood; `gain` is what its last row is above K, paired, for all held-out
    data. `cumulant` is the second-order estimate, no bound. `bits_per_dim` (less is better) is there where the data
    have levels. `ess_median`, the effective number of the last row's draws, `khat` and `verdicts`, shares, are of the
    data with weights.
    """

    unit: str
    num_heldout: int
    num_points: int
    ladder: list[LadderRow]
    gain: Estimate
    cumulant: Estimate
    bits_per_dim: Estimate | None
    ess_median: float
    khat: dict[str, float]
    verdicts: dict[str, float]
    interrupted: bool

    @property
    def doubtful_share(self) -> float:
        """Share of the data with weights whose estimate is not reliable."""
        return 1 - self.verdicts[RELIABLE]

    def as_json(self) -> dict[str, Any]:
        """What `scores.as_json` leaves out; the ladder under `importance_weighted`."""
        return {
            "importance_weighted": [row.as_json() for row in self.ladder],
            "importance_weighted_points": self.num_points,
            "importance_weighted_bits_per_dim": self.bits_per_dim.as_json() if self.bits_per_dim else None,
            "importance_weighted_gain": self.gain.as_json(),
            "cumulant": self.cumulant.as_json(),
            "ess_median": finite_or_none(self.ess_median),
            "khat": {name: finite_or_none(value) for name, value in self.khat.items()},
            "verdicts": self.verdicts,
            "interrupted": self.interrupted,
        }


def why_K_stands(gain: Estimate, unit: str) -> str:
    """Why K is the best bound though there are importance weights, which raise it by `gain`; in words."""
    if math.isfinite(gain.mean) and not is_above(gain, 1.0):
        return f"importance weights raise it by {gain.plus_minus()} {unit}, no more than the error"
    return "importance weights give no higher figure"


def importance_weights(
    method: AbstractMethod,
    data: Dataset,
    key: PRNGKey,
    *,
    num_particles: int,
    num_points: int,
    proposal: str | None = None,
    checkpoint: Path | None = None,
    progress: bool = False,
    keep_log_weights: bool = False,
) -> LogLikelihood:
    """Importance-weighted log-likelihoods of the first `num_points` of `data`, nats of standardised data.

    Where the data are dequantised every particle has noise of its own, which is thereby integrated out.
    `proposal` is a name of `PROPOSALS`, by default what suits the method.

    **Raises:** `InputError` as `log_likelihood` does.
    """
    proposal = proposal or default_proposal(method)
    one_of("proposal", proposal, PROPOSALS, "leave it out")
    key, rows = check_key(key), data.rows(np.arange(num_points))
    noisy = data.units.is_dequantised
    return log_likelihood(
        method,
        rows,
        key,
        num_particles,
        proposal=PROPOSALS[proposal],
        draw=data.units.dequantise if noisy else None,
        checkpoint=checkpoint,
        progress=progress,
        keep_log_weights=keep_log_weights,
    )


def summarise(result: LogLikelihood, units: Units, scores: Scores) -> ImportanceScores:
    """The figures of `result`, whose data are the first of those that `scores` has scored.

    Weights cost far more than K, so fewer data bear them. Their mean over all of `data` follows from K, and where it is
    known the exact value, of all (see `extended_mean`).
    """
    known = np.flatnonzero(result.num_draws)
    columns = result.ladder.values.T
    K, exact = K_with_weights(scores.K_values, result), scores.exact_values
    with np.errstate(invalid="ignore"):  # infinite values are left out by extended_mean
        lacking = None if exact is None else exact - K

    def extended(values: np.ndarray) -> Estimate:
        return extended_mean(values, known, K, [] if lacking is None else [lacking])

    def gap(values: np.ndarray) -> Estimate | None:
        if exact is None or lacking is None:
            return None
        return in_bits(extended_mean(exact[known] - values, known, lacking, [K]))

    def in_bits(figure: Estimate) -> Estimate:
        return units.in_units(figure, "bits/point")

    def gain(values: np.ndarray) -> Estimate:
        with np.errstate(invalid="ignore"):
            above = values - K[known]
        return in_bits(extended_mean(above, known, np.zeros(len(K)), [K] if lacking is None else [K, lacking]))

    ladder = []
    particles_per_draw = int(result.num_particles[known[0]] // result.num_draws[known[0]])
    for num_particles, column, below in zip(result.ladder.num_particles, columns, [None, *columns], strict=False):
        num_draws = int(num_particles) // particles_per_draw
        ladder.append(
            LadderRow(
                int(num_particles),
                num_draws,
                in_bits(extended(column)),
                None if below is None else in_bits(paired_difference(column, below)),
                gap(column),
            )
        )
    final = result.log_likelihood[known]
    shares = result.ess[known] / result.num_draws[known]
    ess, khat = (values[np.isfinite(values)] for values in (shares * ladder[-1].num_draws, result.khat[known]))
    median, largest = (np.median(khat), np.max(khat)) if khat.size else (np.nan, np.nan)
    return ImportanceScores(
        unit=scores.unit,
        num_heldout=scores.num_points,
        num_points=len(known),
        ladder=ladder,
        gain=gain(final),
        cumulant=in_bits(extended(result.cumulant[known])),
        bits_per_dim=None if units.num_levels is None else units.bits_per_dim(extended(final)),
        ess_median=float(np.median(ess)) if ess.size else np.nan,
        khat={"median": float(median), "largest": float(largest)},
        verdicts={name: float(np.mean(result.verdict[known] == name)) for name in VERDICTS},
        interrupted=result.interrupted,
    )


def K_with_weights(K_values: np.ndarray, result: LogLikelihood) -> np.ndarray:
    """K of every datum; of those with weights from their many particles, with less noise than a score's few draws."""
    K, known = K_values.copy(), np.flatnonzero(result.num_draws)
    if result.ladder.num_particles[0] == 1:
        K[known] = result.K
    return K


def sandwich_json(bounds: Sandwich, units: Units) -> dict[str, Any]:
    """The certificate in the unit of the scores, with the statement of what it certifies."""
    return {
        "certifies": "data simulated from the model",
        "num_data": len(bounds.x_0),
        "num_particles": bounds.num_particles,
        "doubtful_share": bounds.forward.doubtful_share,
        **{name: units.in_units(side, "bits/point").as_json() for name, side in bounds.figures().items()},
    }
