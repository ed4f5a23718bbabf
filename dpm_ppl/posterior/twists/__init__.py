"""Twists: how the moves down the chain are led towards an observation. One file is one way; `twist_for` chooses.

- `LinearChainTwist` and `EnumeratedTwist` are exact, for linear chains and for few states.
- `ByVariance`, `OfMeasurements` and `Average` take x_0 given x_t to be normal, `ByRates` its bits or levels to be
  independent.
- `ByGradient` goes along the gradient of any likelihood, and `PaperTwist` is the paper's recipe.
"""

from typing import Literal

import jax.numpy as jnp

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import MOST_STATES, AbstractObservation, Levels, NormalCoordinates, NormalLinear
from dpm_ppl.posterior.twists.average import Average, average_twist
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.enumerated import EnumeratedTwist, enumerated_twist
from dpm_ppl.posterior.twists.gaussian import ByVariance, OfMeasurements
from dpm_ppl.posterior.twists.gradient import ByGradient
from dpm_ppl.posterior.twists.learned import LearnedTwist
from dpm_ppl.posterior.twists.levels import ByRates
from dpm_ppl.posterior.twists.linear_chain import LinearChainTwist, linear_chain_twist
from dpm_ppl.posterior.twists.paper import PaperTwist
from dpm_ppl.posterior.twists.tilts import AbstractTilt

Covariance = Literal["jacobian", "average", "variance"]
MOST_BY_JACOBIAN = 4
"""Measurements up to which the covariance is taken from derivatives if nobody says."""

__all__ = [
    "AbstractTilt",
    "AbstractTwist",
    "Average",
    "ByGradient",
    "ByRates",
    "ByVariance",
    "Covariance",
    "EnumeratedTwist",
    "LearnedTwist",
    "LinearChainTwist",
    "OfMeasurements",
    "PaperTwist",
    "twist_for",
]


def twist_for(
    diffusion: StepLaws, observation: AbstractObservation, covariance: Covariance | None = None, *, exact: bool = True
) -> AbstractTwist:
    """The best twist there is for a diffusion and an observation; `exact=False` passes over the exact ones."""
    if diffusion.kernel.num_levels is not None:
        found = enumerated_twist(diffusion, observation) if exact else None
        if found is not None:
            return found
        if isinstance(observation, Levels):
            return ByRates(observation)
        raise InputError(
            "likelihood",
            expected=f"for data of more than {MOST_STATES} states, one that is a product over the coordinates",
            got="one that is none",
            remedy="observe each coordinate by itself, or shorten the data",
        )
    linear = _as_linear(observation)
    if linear is not None and exact and (chain := linear_chain_twist(diffusion, linear)) is not None:
        return chain
    if linear is not None and covariance is None:
        covariance = "jacobian" if len(linear.value) <= MOST_BY_JACOBIAN else "average"
    if linear is not None and covariance == "average":
        found = average_twist(diffusion, linear)
        if found is not None:
            return found
        covariance = "variance"
    if isinstance(observation, NormalCoordinates) and covariance == "variance":
        return ByVariance(observation)
    return ByGradient(observation) if linear is None else OfMeasurements(linear, covariance == "jacobian")


def _as_linear(observation: AbstractObservation) -> NormalLinear | None:
    """A normal observation as measurements of all coordinates."""
    if isinstance(observation, NormalCoordinates):
        rows = jnp.flatnonzero(observation.seen.ravel())
        matrix = jnp.eye(observation.value.size)[rows]
        value, variance = observation.value.ravel()[rows], observation.variance.ravel()[rows]
        return NormalLinear(matrix=matrix, value=value, variance=variance, event_shape=observation.event_shape)
    return observation if isinstance(observation, NormalLinear) else None
