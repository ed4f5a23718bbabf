"""From a likelihood as a modeller writes it to the form that says most: normal and linear, or a product over levels.

The likelihood is a function from x_0 to a NumPyro distribution. It is looked at from outside: its parameters at a few
points far apart say whether the mean is linear in x_0 and the deviation constant, or whether each bit or level has a
factor of its own. What is none of these is taken as it is.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from dpm_ppl._common.checks import check_known, is_traced, real_array
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Batch, Cost, Datum
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import (
    MOST_STATES,
    AbstractObservation,
    AnyLikelihood,
    Levels,
    NormalCoordinates,
    NormalLinear,
    all_states,
    law_from,
)

Likelihood = Callable[[Array], Any]

MOST_ENTRIES = 50_000_000
"""Of the matrix of a linear likelihood, beyond which it is taken as any other."""
LEAST_APART = 1e-3
"""The smallest eigenvalue, of the correlations of measurements, that covariances of them are formed with."""
NUM_WIDE, FURTHEST = 64, 6.0
"""Points that a form has to hold at as well, and how far they lie, in deviations of the data."""


def recognised(
    diffusion: StepLaws, likelihood: Likelihood, observed: Any, units: Units | None = None
) -> AbstractObservation:
    """The observation in the most telling form that it has; the arguments and errors are those of `recognition`."""
    return recognition(diffusion, likelihood, observed, units)(observed)


def recognition(
    diffusion: StepLaws, likelihood: Likelihood, observed: Any, units: Units | None = None
) -> Callable[[Any], AbstractObservation]:
    """What brings this observation, and others of the same likelihood, into the most telling form that it has.

    Whether the likelihood is normal and linear is looked at once, here. What it returns compiles nothing anew.

    **Arguments:** `likelihood` takes one x_0, in the units of the data as they were given, and returns the law of
    `observed`, or is a NumPyro model of one observed site `y` given x_0.

    **Raises:** `InputError`, as what it returns does, where that is not a law, or an observation does not fit it, or is
    impossible for every x_0 tried.
    """
    given = (0.0, 1.0) if units is None else (units.shift, units.scale)
    shift, scale = (jnp.broadcast_to(jnp.asarray(part, dtype=float), diffusion.event_shape) for part in given)
    points = jnp.stack([_point(diffusion, number) for number in range(4)])
    law = law_from(likelihood, points[0].astype(float) * scale + shift)

    def plain_of(observed: Any) -> AnyLikelihood:
        value, shape = _checked(law, observed), diffusion.event_shape
        plain = AnyLikelihood(law=likelihood, value=value, shift=shift, scale=scale, event_shape=shape)
        _check_finite(_log_probs(plain, points))
        return plain

    num_levels = diffusion.kernel.num_levels
    if num_levels is not None:

        def levels_of(observed: Any) -> AbstractObservation:
            plain = plain_of(observed)
            found = _levels(plain, points, num_levels)
            return plain if found is None else replace(found, source=plain)

        return levels_of
    normal = _normal(diffusion, plain_of(observed), points)
    if normal is None:
        return plain_of

    def normal_of(observed: Any) -> AbstractObservation:
        plain = plain_of(observed)
        return replace(normal(plain.value), source=plain)

    return normal_of


@eqx.filter_jit
def _log_probs(observation: AbstractObservation, points: Batch) -> Cost:
    """log r at each of these points."""
    return observation.log_prob(points)


def _checked(law: dist.Distribution, observed: Any) -> Array:
    value = jnp.asarray(real_array(observed, "observed"))
    expected = (*law.batch_shape, *law.event_shape)
    if value.shape != expected:
        raise InputError(
            "observed",
            expected=f"shape {expected}, as the likelihood's law has",
            got=f"shape {value.shape}",
            remedy="give one observation; condition_each takes several",
        )
    if not is_traced(value) and not np.isfinite(np.asarray(value, np.float64)).all():
        raise InputError(
            "observed",
            expected="finite numbers",
            got="NaN or infinity among them",
            remedy="for coordinates that are not observed use known_coordinates, or leave them out of the likelihood",
        )
    return value


def _check_finite(values: Array) -> None:
    check_known(likelihood=values)
    if np.isnan(values).any() or np.isneginf(values).all():
        raise InputError(
            "likelihood",
            expected="a finite log-density of the observation for some x_0",
            got=f"{values[0]} and the like wherever it was tried",
            remedy="widen its noise, and check the units: x_0 comes in those of the data as given",
        )


def _point(diffusion: StepLaws, number: int) -> Array:
    """A draw from the noise, some wider than others; levels as they are drawn."""
    key = jax.random.fold_in(jax.random.key(0), number)
    draw = diffusion.null().sample(key)
    return draw * (0.3, 1.0, 3.0, 1.0)[number] if diffusion.kernel.num_levels is None else draw


def _levels(plain: AnyLikelihood, points: Batch, num_levels: int) -> Levels | None:
    """Factors by changing one coordinate at a time of a point where the likelihood is not zero, to every level."""
    at_points = _log_probs(plain, points)
    is_finite = np.isfinite(at_points)
    if not is_finite.any():
        return None
    base, at_base = points[is_finite.argmax()], at_points[is_finite.argmax()]
    chosen = jnp.eye(base.size, dtype=bool)[:, None]
    changed = jnp.where(chosen, jnp.arange(num_levels, dtype=base.dtype)[:, None], base.ravel())
    gain = _one_by_one(plain, changed.reshape(-1, *base.shape)) - at_base
    found = Levels(
        log_factors=(gain + at_base / base.size).reshape(*base.shape, num_levels), event_shape=plain.event_shape
    )
    states = _states(plain.event_shape, num_levels)
    return found if _agree(found, plain, points) and _agree(found, plain, states) else None


def _states(event_shape: tuple[int, ...], num_levels: int) -> Batch:
    """All states if they are few; of more, the lowest and the highest, and some with low levels and with high ones."""
    size = math.prod(event_shape)
    if num_levels**size <= MOST_STATES:
        return all_states(num_levels, event_shape)
    uniform = np.random.default_rng(0).uniform(size=(NUM_WIDE, size, num_levels - 1))
    states = (uniform < np.linspace(0.0, 1.0, NUM_WIDE)[:, None, None]).sum(axis=-1)
    return jnp.asarray(states.reshape(-1, *event_shape), jnp.int32)


@eqx.filter_jit
def _one_by_one(plain: AnyLikelihood, points: Batch) -> Cost:
    return jax.lax.map(lambda point: plain.log_prob(point[None])[0], points)


def _normal(
    diffusion: StepLaws, plain: AnyLikelihood, points: Batch
) -> Callable[[Array], NormalLinear | NormalCoordinates] | None:
    """What makes a normal observation of a value, where the law is normal and its mean linear in x_0."""
    value = plain.value

    def parts(x_0: Datum) -> tuple[Array, Array] | None:
        law: Any = plain.law_of(x_0)
        while isinstance(law, dist.Independent):
            law = law.base_dist
        if not isinstance(law, dist.Normal):
            return None
        return jnp.broadcast_to(law.loc, value.shape), jnp.broadcast_to(law.scale, value.shape)  # pyright: ignore[reportArgumentType]

    if parts(points[0]) is None or value.size * diffusion.num_coordinates > MOST_ENTRIES:
        return None

    def mean(x_0: Datum) -> Array:
        found = parts(x_0)
        assert found is not None
        return found[0].ravel()

    none = jnp.zeros(diffusion.event_shape)
    offset, scale = mean(none), parts(none)[1].ravel()  # pyright: ignore[reportOptionalSubscript]
    _, linear = jax.linearize(mean, none)
    back = jax.linear_transpose(linear, none)
    matrix = jax.vmap(lambda row: back(row)[0].ravel())(jnp.eye(value.size)).astype(float)
    found = NormalLinear(
        matrix=matrix, value=value.ravel() - offset, variance=scale**2, event_shape=diffusion.event_shape
    )
    if not (_agree(found, plain, points) and _is_linear(found, offset, parts)):
        return None
    of_coordinates = _of_coordinates(found)
    if of_coordinates is not None:
        return lambda value: of_coordinates(value.ravel() - offset)
    of_measurements = _well_apart(found)
    return lambda value: of_measurements(value.ravel() - offset)


def _is_linear(found: NormalLinear, offset: Array, parts: Callable[[Datum], tuple[Array, Array] | None]) -> bool:
    """Whether mean and deviation are what the form says at points far out, where a detector may saturate."""
    wide = np.random.default_rng(0).uniform(-FURTHEST, FURTHEST, (NUM_WIDE, *found.event_shape))
    of_wide: Any = jax.vmap(parts)(jnp.asarray(wide, dtype=float))
    means, deviations = (np.asarray(part).reshape(NUM_WIDE, -1) for part in of_wide)
    matrix, away, deviation = np.asarray(found.matrix), np.asarray(offset), np.sqrt(np.asarray(found.variance))
    wide = wide.reshape(NUM_WIDE, -1).astype(matrix.dtype)
    rounding = 64 * np.finfo(matrix.dtype).eps * (np.abs(wide) @ np.abs(matrix).T + np.abs(away))
    miss = np.abs(means - wide @ matrix.T - away)
    return np.allclose(deviations, deviation, rtol=1e-3, atol=0) and bool((miss <= 0.01 * deviation + rounding).all())


def _well_apart(linear: NormalLinear) -> Callable[[Array], NormalLinear]:
    """What makes an observation of what was measured; of measurements that say nearly the same, fewer orthogonal ones.

    Their covariances would be singular to float32: of one coordinate measured twice, or of more measurements than
    coordinates, with little noise.
    """
    deviation = np.sqrt(np.asarray(linear.variance, np.float64))
    whitened = np.asarray(linear.matrix, np.float64) / deviation[:, None]
    together = whitened @ whitened.T + np.eye(len(whitened))
    lengths = np.sqrt(np.diag(together))
    if np.linalg.eigvalsh(together / lengths / lengths[:, None])[0] > LEAST_APART:
        return lambda value: eqx.tree_at(lambda one: one.value, linear, value)
    left, sizes, right = np.linalg.svd(whitened, full_matrices=False)
    kept = sizes > 1e-6 * sizes[0]  # below it is what float32 has rounded in the matrix
    left, sizes = left[:, kept], sizes[kept]
    matrix, variance = (jnp.asarray(part, dtype=float) for part in (right[kept], sizes**-2))
    log_det = -np.log(deviation).sum() - np.log(sizes).sum() - 0.5 * (len(left) - len(sizes)) * math.log(2 * math.pi)

    def of(measured: Array) -> NormalLinear:
        white = np.asarray(measured, np.float64) / deviation
        along = left.T @ white
        off = float(((white - left @ along) ** 2).sum())
        value = jnp.asarray(along / sizes, dtype=float)
        shape = linear.event_shape
        return NormalLinear(
            matrix=matrix, value=value, variance=variance, event_shape=shape, log_det=float(log_det - 0.5 * off)
        )

    return of


def _of_coordinates(linear: NormalLinear) -> Callable[[Array], NormalCoordinates] | None:
    """What makes measurements of one coordinate each of what they measured, if no coordinate is measured twice."""
    matrix = np.asarray(linear.matrix)
    used = matrix != 0
    if not ((used.sum(axis=1) == 1).all() and (used.sum(axis=0) <= 1).all()):
        return None
    column = used.argmax(axis=1)
    factor = matrix[np.arange(len(matrix)), column]
    variance = np.ones(matrix.shape[1])
    variance[column] = np.asarray(linear.variance) / factor**2
    shape = linear.event_shape
    found = NormalCoordinates(
        value=jnp.zeros(shape),
        variance=jnp.asarray(variance.reshape(shape), dtype=float),
        seen=jnp.asarray(used.any(axis=0).reshape(shape)),
        event_shape=shape,
        log_det=-float(np.log(np.abs(factor)).sum()),
    )

    def of(measured: Array) -> NormalCoordinates:
        value = np.zeros(matrix.shape[1])
        value[column] = np.asarray(measured) / factor
        return eqx.tree_at(lambda one: one.value, found, jnp.asarray(value.reshape(shape), dtype=float))

    return of


def _agree(found: AbstractObservation, plain: AnyLikelihood, points: Batch) -> bool:
    ours, theirs = _log_probs(found, points), _log_probs(plain, points)
    return bool(np.allclose(ours, theirs, rtol=1e-3, atol=1e-3, equal_nan=True))
