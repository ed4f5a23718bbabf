"""Observations coordinate by coordinate, with NaN where nothing was observed: known exactly, noisy, or flipped.

All take one datum of the event shape, in the units of the data as they were given. A level stands for the middle of its
interval.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from dpm_ppl._common.checks import check_finite, real_array
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Datum
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import AbstractObservation, AnyLikelihood, Levels, NormalCoordinates


def known_coordinates(diffusion: StepLaws, observed: Any, units: Units | None = None) -> AbstractObservation:
    """Some coordinates of x_0, known exactly: those of `observed` that are not NaN.

    **Raises:** `InputError` for another shape, and where nothing or everything is observed.
    """
    values = np.asarray(real_array(observed, "observed"), np.float64)
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
    check_finite(values[seen], "observed")
    num_levels = diffusion.kernel.num_levels
    if num_levels is not None:
        diffusion.kernel.check_data(values[seen])
        return _levels(values, np.where(np.eye(num_levels), 0.0, -np.inf))
    return noisy_coordinates(values, 0.0, units)


def noisy_coordinates(observed: np.ndarray, sigma: float, units: Units | None = None) -> NormalCoordinates:
    """Those that are not NaN, each with normal noise of this standard deviation."""
    seen, shift, scale, middle = ~np.isnan(observed), 0.0, np.ones(observed.shape), 0.0
    if units is not None:
        shift, scale, middle = units.shift, np.broadcast_to(units.scale, observed.shape), 0.5 * units.widths
    value = (observed + middle - shift) / scale
    source = _source(observed + middle, lambda x_0: dist.Normal(x_0, sigma), shift, scale) if sigma > 0 else None
    return NormalCoordinates(
        value=jnp.asarray(np.where(seen, value, 0.0), dtype=float),
        variance=jnp.asarray(np.where(seen, (sigma / scale) ** 2, 1.0), dtype=float),
        seen=jnp.asarray(seen),
        event_shape=observed.shape,
        log_det=-float(np.log(scale)[seen].sum()),
        source=source,
    )


def noisy_levels(observed: np.ndarray, sigma: float, num_levels: int) -> Levels:
    """Those that are not NaN, each a level with normal noise of this standard deviation."""
    seen = np.isnan(observed)[..., None]
    noise = (observed[..., None] - np.arange(num_levels)) / sigma
    log_factors = np.where(seen, 0.0, -0.5 * (noise**2 + math.log(2 * math.pi)) - math.log(sigma))
    found = Levels(log_factors=jnp.asarray(log_factors, float), event_shape=observed.shape)
    return replace(found, source=_source(observed, lambda x_0: dist.Normal(x_0, sigma)))


def flipped(observed: np.ndarray, rate: float, num_levels: int) -> Levels:
    """Those that are not NaN, each of which is another level than x_0 with this probability, any other alike."""
    others = rate / (num_levels - 1)

    def law(x_0: Datum) -> Any:
        if num_levels == 2:
            return dist.Bernoulli(jnp.where(x_0 > 0, 1 - rate, rate))  # pyright: ignore[reportArgumentType]
        same = jnp.arange(num_levels) == x_0[..., None]
        return dist.CategoricalProbs(jnp.where(same, 1 - rate, others))

    table = np.where(np.eye(num_levels), math.log1p(-rate), math.log(others))
    return replace(_levels(observed, table), source=_source(observed, law))


def _levels(observed: np.ndarray, table: np.ndarray) -> Levels:
    """What was observed of each coordinate, from the log-probability of each observation (row) given each level."""
    seen = ~np.isnan(observed)
    log_factors = np.where(seen[..., None], table[np.where(seen, observed, 0).astype(int)], 0.0)
    return Levels(log_factors=jnp.asarray(log_factors, float), event_shape=observed.shape)


def _source(
    observed: np.ndarray, law: Callable[[Datum], Distribution], shift: Any = 0.0, scale: Any = 1.0
) -> AnyLikelihood:
    value, shift, scale = (
        jnp.asarray(np.broadcast_to(part, observed.shape), float) for part in (observed, shift, scale)
    )
    return AnyLikelihood(law=law, value=value, shift=shift, scale=scale, event_shape=observed.shape)
