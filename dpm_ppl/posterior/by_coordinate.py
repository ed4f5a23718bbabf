"""Observations coordinate by coordinate, with NaN where nothing was observed: known exactly, noisy, or flipped bits.

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
from dpm_ppl.kernels import BernoulliKernel
from dpm_ppl.posterior.observations import AbstractObservation, AnyLikelihood, Bits, NormalCoordinates


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
    if isinstance(diffusion.kernel, BernoulliKernel):
        diffusion.kernel.check_data(values[seen])
        return _bits(values, 0.0, -np.inf)
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


def flipped_bits(observed: np.ndarray, rate: float) -> Bits:
    """Those that are not NaN, each of which says the contrary of x_0 with this probability."""
    law: Any = lambda x_0: dist.Bernoulli(jnp.where(x_0 > 0, 1 - rate, rate))  # noqa: E731
    return replace(_bits(observed, math.log1p(-rate), math.log(rate)), source=_source(observed, law))


def _bits(observed: np.ndarray, log_same: float, log_other: float) -> Bits:
    zero, one = (
        np.where(np.isnan(observed), 0.0, np.where(observed == bit, log_same, log_other)) for bit in (0.0, 1.0)
    )
    return Bits(log_zero=jnp.asarray(zero, float), log_one=jnp.asarray(one, float), event_shape=observed.shape)


def _source(
    observed: np.ndarray, law: Callable[[Datum], Distribution], shift: Any = 0.0, scale: Any = 1.0
) -> AnyLikelihood:
    value, shift, scale = (
        jnp.asarray(np.broadcast_to(part, observed.shape), float) for part in (observed, shift, scale)
    )
    return AnyLikelihood(law=law, value=value, shift=shift, scale=scale, event_shape=observed.shape)
