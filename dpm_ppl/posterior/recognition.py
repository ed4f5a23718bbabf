"""From a likelihood as a modeller writes it to the form that says most: normal and linear, or a product over bits.

The likelihood is a function from x_0 to a NumPyro distribution. It is looked at from outside: its parameters at a few
points far apart say whether the mean is linear in x_0 and the deviation constant, or whether each bit has a factor of
its own. What is none of these is taken as it is.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Datum
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.kernels import BernoulliKernel
from dpm_ppl.posterior.observations import (
    AbstractObservation,
    AnyLikelihood,
    Bits,
    NormalCoordinates,
    NormalLinear,
    law_from,
)

Likelihood = Callable[[Array], Any]

MOST_ENTRIES = 50_000_000
"""Of the matrix of a linear likelihood, beyond which it is taken as any other."""


def known_coordinates(diffusion: StepLaws, observed: Any, units: Units | None = None) -> AbstractObservation:
    """Some coordinates of x_0, known exactly: those of `observed`, of the event shape, that are not NaN.

    A level is taken to be in the middle of its interval.

    **Raises:** `InputError` for another shape, and where nothing or everything is observed.
    """
    values = np.asarray(observed, np.float64)
    if values.shape != diffusion.event_shape:
        raise InputError(
            "observed",
            expected=f"shape {diffusion.event_shape}, NaN where nothing was observed",
            got=f"shape {values.shape}",
            remedy="give one datum; condition_each takes several",
        )
    seen = ~np.isnan(values)
    if not seen.any() or seen.all():
        raise InputError(
            "observed",
            expected="some coordinates observed and some not",
            got="none observed" if not seen.any() else "all observed: nothing is left to infer",
            remedy="NaN marks what was not observed",
        )
    if isinstance(diffusion.kernel, BernoulliKernel):
        diffusion.kernel.check_data(values[seen])
        impossible = np.where(seen, -np.inf, 0.0)
        zero, one = (np.where(values == bit, 0.0, impossible) for bit in (0, 1))
        return Bits(log_zero=jnp.asarray(zero), log_one=jnp.asarray(one), event_shape=diffusion.event_shape)
    log_det = 0.0
    if units is not None:
        values = (values + 0.5 * units.widths - units.shift) / units.scale
        log_det = -float(np.log(np.broadcast_to(units.scale, values.shape))[seen].sum())
    value, variance = (jnp.asarray(part, dtype=float) for part in (np.where(seen, values, 0.0), np.zeros(values.shape)))
    return NormalCoordinates(
        value=value, variance=variance, seen=jnp.asarray(seen), event_shape=diffusion.event_shape, log_det=log_det
    )


def recognised(
    diffusion: StepLaws, likelihood: Likelihood, observed: Any, units: Units | None = None
) -> AbstractObservation:
    """The observation in the most telling form that it has.

    **Arguments:** `likelihood` takes one x_0, in the units of the data as they were given, and returns the law of
    `observed`, or is a NumPyro model of one observed site `y` given x_0.

    **Raises:** `InputError` where that is not a law, `observed` does not fit it, or is impossible for every x_0 tried.
    """
    given = (0.0, 1.0) if units is None else (units.shift, units.scale)
    shift, scale = (jnp.broadcast_to(jnp.asarray(part, dtype=float), diffusion.event_shape) for part in given)
    points = [_point(diffusion, number) for number in range(4)]
    first = law_from(likelihood, points[0].astype(float) * scale + shift)
    value = _checked(first, observed)
    plain = AnyLikelihood(law=likelihood, value=value, shift=shift, scale=scale, event_shape=diffusion.event_shape)

    def log_prob(x_0: Datum) -> Array:
        return plain.log_prob(x_0[None])[0]

    _check_finite(log_prob, points)
    if isinstance(diffusion.kernel, BernoulliKernel):
        found = _bits(diffusion, log_prob, points)
    else:
        found = _normal(diffusion, plain, points)
    return plain if found is None else found


def _checked(law: dist.Distribution, observed: Any) -> Array:
    value = jnp.asarray(observed)
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


def _check_finite(log_prob: Callable[[Datum], Array], points: list[Array]) -> None:
    values = np.array([log_prob(point) for point in points], np.float64)
    if np.isnan(values).any() or np.isneginf(values).all():
        raise InputError(
            "likelihood",
            expected="a finite log-density of the observation for some x_0",
            got=f"{values[0]} and the like wherever it was tried",
            remedy="widen its noise, and check the units: x_0 comes in those of the data as given",
        )


def _point(diffusion: StepLaws, number: int) -> Array:
    """A draw from the noise, some wider than others; bits as they are drawn."""
    key = jax.random.fold_in(jax.random.key(0), number)
    draw = diffusion.stationary().sample(key)
    return draw if isinstance(diffusion.kernel, BernoulliKernel) else draw * (0.3, 1.0, 3.0, 1.0)[number]


def _bits(diffusion: StepLaws, log_prob: Callable[[Datum], Array], points: list[Array]) -> Bits | None:
    """Factors by flipping one bit at a time of a point where the likelihood is not zero."""
    base = next((point for point in points if jnp.isfinite(log_prob(point))), None)
    if base is None:
        return None
    flat = base.ravel()
    flipped = jnp.where(jnp.eye(flat.size, dtype=bool), 1 - flat, flat).reshape(-1, *base.shape)
    at_base = log_prob(base)
    gain = (jax.lax.map(log_prob, flipped) - at_base).reshape(base.shape)
    share = jnp.full(base.shape, at_base / base.size)
    zero, one = jnp.where(base > 0, share + gain, share), jnp.where(base > 0, share, share + gain)
    found = Bits(log_zero=zero, log_one=one, event_shape=diffusion.event_shape)
    return found if _agree(found, log_prob, points) else None


def _normal(diffusion: StepLaws, plain: AnyLikelihood, points: list[Array]) -> AbstractObservation | None:
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

    if not _agree(found, lambda x_0: plain.log_prob(x_0[None])[0], points):
        return None
    return _as_coordinates(found)


def _as_coordinates(linear: NormalLinear) -> AbstractObservation:
    """Measurements of one coordinate each as such, if no coordinate is measured twice."""
    matrix = np.asarray(linear.matrix)
    used = matrix != 0
    if not ((used.sum(axis=1) == 1).all() and (used.sum(axis=0) <= 1).all()):
        return linear
    column = used.argmax(axis=1)
    factor = matrix[np.arange(len(matrix)), column]
    seen = used.any(axis=0)
    size = matrix.shape[1]
    value, variance = np.zeros(size), np.ones(size)
    value[column], variance[column] = np.asarray(linear.value) / factor, np.asarray(linear.variance) / factor**2
    shape = linear.event_shape
    return NormalCoordinates(
        value=jnp.asarray(value.reshape(shape), dtype=float),
        variance=jnp.asarray(variance.reshape(shape), dtype=float),
        seen=jnp.asarray(seen.reshape(shape)),
        event_shape=shape,
        log_det=-float(np.log(np.abs(factor)).sum()),
    )


def _agree(found: AbstractObservation, log_prob: Callable[[Datum], Array], points: list[Array]) -> bool:
    ours = np.array([found.log_prob(point[None])[0] for point in points])
    theirs = np.array([log_prob(point) for point in points])
    return bool(np.allclose(ours, theirs, rtol=1e-3, atol=1e-3, equal_nan=True))
