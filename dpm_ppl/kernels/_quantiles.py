"""Draws of a law from uniform numbers, by its quantile function."""

import jax.numpy as jnp

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Uniforms, Values


def quantile(law: Distribution, uniform: Uniforms) -> Values:
    """The value below which the law has the share `uniform`, coordinate by coordinate.

    **Raises:** `InputError` for a law of neither finitely many values nor a known inverse of its distribution function.
    """
    try:
        return law.icdf(uniform)
    except NotImplementedError as error:
        if not law.has_enumerate_support:
            raise InputError(
                "kernel",
                expected="a `marginal` with `icdf` or `enumerate_support`, by which x_t is drawn",
                got=type(law).__name__,
                remedy="write a `draw_bridge` for the kernel",
            ) from error
    values = law.enumerate_support(expand=False)
    share_up_to = jnp.cumsum(jnp.exp(law.log_prob(values)), axis=0)
    return jnp.ravel(values)[(uniform > share_up_to[:-1]).sum(axis=0)]
