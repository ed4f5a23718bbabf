"""What a method says of held-out data, datum by datum: the one form in which methods are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from dpm_ppl._common.checks import check_key, check_known, check_sizes, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl._common.wording import short_repr
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.units import Units
from dpm_ppl.estimates.standard_errors import estimate
from dpm_ppl.evaluation.importance_scores import NUM_POINTS, ImportanceScores, summarise, weigh
from dpm_ppl.evaluation.scores import Scores, score
from dpm_ppl.likelihood import LogLikelihood, Sandwich
from dpm_ppl.methods.base import AbstractMethod

MOST_DISTANCE = 6.0
"""Standard errors between the data that are weighed and the others, from which on they are no sample of the same."""


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


def measure(
    method: AbstractMethod,
    data: Dataset,
    key: PRNGKey,
    *,
    num_draws: int = 4,
    num_particles: int | None = None,
    num_points: int = NUM_POINTS,
    datum: str = "point",
    exact: Callable[[np.ndarray], np.ndarray] | None = None,
    proposal: str | None = None,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> Measured:
    """Score a diffusion or a program on all of `data`, and weigh the first `num_points` of them.

    **Arguments:**

    - `num_draws`: draws of noise, dequantisation and guide per datum in K.
    - `num_particles`: importance-weighted estimates from so many particles per datum; none if left out.
    - `datum`: what one datum is called, as in bits/point.
    - `exact`: log-density of standardised data, nats, `(datum, *event_shape)` to `(datum,)`, where it is known.
    - `proposal`: how particles are drawn, by name.
    - `checkpoint`, `progress`: as for `log_likelihood`.

    **Raises:** `InputError` for data that do not fit the method, sizes that are not positive, and data in an order in
    which the first ones are no random sample of all.
    """
    if not isinstance(method, AbstractMethod) or not isinstance(data, Dataset):
        raise InputError(
            "method" if isinstance(data, Dataset) else "data",
            expected="a Diffusion or a Program, and a Dataset",
            got=f"{type(method).__name__} and {type(data).__name__}",
            remedy="Program(model, guide, event_shape=..., params=...), and Dataset.from_continuous(values)",
        )
    num_draws, num_points = check_sizes(num_draws=num_draws, num_points=num_points)
    num_particles = None if num_particles is None else whole_number("num_particles", num_particles)
    key = check_key(key)
    check_known(method=method, key=key)
    scores = score(method, data, jax.random.fold_in(key, 0), num_draws=num_draws, datum=datum, exact=exact)
    if num_particles is None:
        return Measured(data.units, scores)
    _check_order(scores.K_values, num_points)
    weights = weigh(
        method,
        data,
        jax.random.fold_in(key, 1),
        num_particles=num_particles,
        num_points=min(num_points, data.num_points),
        proposal=proposal,
        checkpoint=checkpoint,
        progress=progress,
    )
    return Measured(data.units, scores, weights, summarise(weights, data.units, scores))


def _check_order(K_values: np.ndarray, num_points: int) -> None:
    """Raise `InputError` where K of the first data differs from that of the others by far more than chance."""
    first, others = (part[np.isfinite(part)] for part in (K_values[:num_points], K_values[num_points:]))
    if len(first) < 10 or len(others) < 10:
        return
    one, other = estimate(first), estimate(others)
    distance = abs(one.mean - other.mean) / max(np.hypot(one.se, other.se), 1e-9)
    if distance > MOST_DISTANCE:
        raise InputError(
            "data",
            expected="data in random order, as only the first get importance weights",
            got=f"K of the first {len(first):,} lies {distance:.1f} standard errors from that of the others",
            remedy="shuffle the data, or weigh all of them",
        )
