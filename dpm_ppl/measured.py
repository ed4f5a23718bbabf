"""What a method says of held-out data, datum by datum: the one form in which methods are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from dpm_ppl._types import PRNGKey
from dpm_ppl.data import Dataset
from dpm_ppl.importance_scores import NUM_POINTS, ImportanceScores, summarise, weigh
from dpm_ppl.likelihood import LogLikelihood, Sandwich
from dpm_ppl.programs import Method
from dpm_ppl.scores import Scores, score
from dpm_ppl.units import Units


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of one method and the values of single data behind them, nats of standardised data.

    `scores` has K of all data. `weights`, if any were drawn, has the importance-weighted log-likelihood of the first of
    them, and `importance` what follows from both for all. `sandwich` bounds the likelihood of simulated data.
    """

    units: Units
    scores: Scores
    weights: LogLikelihood | None = None
    importance: ImportanceScores | None = None
    sandwich: Sandwich | None = None


def measure(
    method: Method,
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

    **Raises:** `InputError` for data that do not fit the method, and sizes that are not positive.
    """
    scores = score(method, data, jax.random.fold_in(key, 0), num_draws=num_draws, datum=datum, exact=exact)
    if num_particles is None:
        return Measured(data.units, scores)
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
