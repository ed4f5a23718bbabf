"""From what was observed, or what might be, to the forms of observations that the methods know."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Datum, PRNGKey
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.sampling import sample
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.by_coordinate import known_coordinates
from dpm_ppl.posterior.observations import AbstractObservation, law_from
from dpm_ppl.posterior.recognition import Likelihood, recognition


def maker(
    diffusion: StepLaws, likelihood: Likelihood | AbstractObservation | None, observed: Any, units: Units | None
) -> Callable[[Any], AbstractObservation]:
    """What makes an observation like this one of what was observed; the likelihood is as `condition` takes it."""
    if isinstance(likelihood, AbstractObservation):
        return lambda observed: likelihood
    if likelihood is None:
        return lambda observed: known_coordinates(diffusion, observed, units)
    return recognition(diffusion, likelihood, observed, units)


def simulated(
    diffusion: StepLaws,
    likelihood: Likelihood | AbstractObservation | None,
    key: PRNGKey,
    num: int,
    units: Units | None,
) -> Array:
    """What might be observed of data that the diffusion makes, `(num, ...)`.

    **Raises:** `InputError` where no law says how they are observed.
    """
    if likelihood is None or isinstance(likelihood, AbstractObservation):
        raise InputError(
            "observed",
            expected="observations to train for, as no law says how data are observed",
            got="None",
            remedy="give some as condition takes them, along a first axis",
        )
    data_key, noise_key = jax.random.split(key)
    x_0 = sample(diffusion, data_key, num)
    given = x_0.astype(float) if units is None else jnp.asarray(units.unstandardise(np.asarray(x_0)), dtype=float)

    def of_one(x_0: Datum, key: PRNGKey) -> Array:
        return law_from(likelihood, x_0).sample(key)

    return jax.vmap(of_one)(given, jax.random.split(noise_key, num))
