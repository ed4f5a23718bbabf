"""What a method says of held-out data, datum by datum: the one form in which methods are evaluated and compared."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from dpm_ppl._common.checks import check_key, check_kind, check_known, check_sizes, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.estimates.standard_errors import estimate
from dpm_ppl.evaluation.importance_scores import NUM_POINTS, importance_weights, summarise
from dpm_ppl.evaluation.measured import Measured
from dpm_ppl.evaluation.scores import Scores, score
from dpm_ppl.likelihood import sandwich
from dpm_ppl.likelihood.proposals import PROPOSALS, default_proposal
from dpm_ppl.methods.base import AbstractMethod

MOST_DISTANCE = 6.0
"""Standard errors between the data with weights and the others, from which on they are no sample of the same."""


class Particles(NamedTuple):
    """How importance weights are drawn: how many for each of the first `num_points` data, and by which proposal."""

    num_particles: int
    num_points: int = NUM_POINTS
    proposal: str | None = None


class Keys(NamedTuple):
    """One for the noise in K, one for the particles, one for the sandwich."""

    bound: PRNGKey
    weights: PRNGKey
    sandwich: PRNGKey


class Files(NamedTuple):
    """Where draws of K and sums of weights are kept, so that they are not drawn again; None keeps nothing."""

    scores: Path | None = None
    weights: Path | None = None
    sandwich: Path | None = None


NOWHERE = Files()


def evaluate(
    method: AbstractMethod,
    data: Dataset,
    keys: Keys,
    *,
    num_draws: int = 4,
    num_sampled_steps: int | None = None,
    datum: str = "point",
    exact: Callable[[np.ndarray], np.ndarray] | None = None,
    gaussian: Callable[[np.ndarray], np.ndarray] | None = None,
    particles: Particles | None = None,
    with_sandwich: bool = False,
    files: Files = NOWHERE,
    on_scores: Callable[[Scores], None] | None = None,
    progress: bool = False,
) -> Measured:
    """K of all of `data`, importance weights of the first of them if `particles` are asked for, and the sandwich.

    `on_scores` gets the scores as soon as they are there. The other arguments are those of `score` and
    `importance_weights`. Where Ctrl-C ends the particles early, what has been drawn by then counts.

    **Raises:** `InputError` as these do.
    """
    scores = score(
        method,
        data,
        keys.bound,
        num_draws=num_draws,
        num_sampled_steps=num_sampled_steps,
        datum=datum,
        exact=exact,
        gaussian=gaussian,
        checkpoint=files.scores,
        progress=progress,
    )
    if on_scores is not None:
        on_scores(scores)
    if particles is None:
        return Measured(data.units, scores)
    weights = importance_weights(
        method, data, keys.weights, **particles._asdict(), checkpoint=files.weights, progress=progress
    )
    certificate = None
    if with_sandwich and not weights.interrupted:
        certificate = sandwich(
            method,
            keys.sandwich,
            particles.num_points,
            particles.num_particles,
            proposal=PROPOSALS[particles.proposal or default_proposal(method)],
            checkpoint=files.sandwich,
            progress=progress,
        )
    return Measured(data.units, scores, weights, summarise(weights, data.units, scores), certificate)


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
    """Score a method on all of `data`, and draw importance weights of the first `num_points` of them.

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
    remedy = "make one of a NumPyro program by Program(model, guide, event_shape=..., params=...)"
    check_kind("method", method, AbstractMethod, expected="a Diffusion or a Program", remedy=remedy)
    remedy = "make one of an array, for example by Dataset.from_continuous(values)"
    check_kind("data", data, Dataset, expected="a Dataset", remedy=remedy)
    num_draws, num_points = check_sizes(num_draws=num_draws, num_points=num_points)
    num_particles = None if num_particles is None else whole_number("num_particles", num_particles)
    key = check_key(key)
    check_known(method=method, key=key)
    particles = None
    if num_particles is not None:
        particles = Particles(num_particles, min(num_points, data.num_points), proposal)

    def check_order(scores: Scores) -> None:
        if particles is not None:
            _check_order(scores.K_values, num_points)

    return evaluate(
        method,
        data,
        Keys(*(jax.random.fold_in(key, number) for number in range(3))),
        num_draws=num_draws,
        datum=datum,
        exact=exact,
        particles=particles,
        files=Files(weights=checkpoint),
        on_scores=check_order,
        progress=progress,
    )


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
            remedy="shuffle the data, or draw weights of all of them",
        )
