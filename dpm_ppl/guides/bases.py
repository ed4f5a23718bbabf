"""The base of a guide: a NumPyro guide as a map T from x ~ N(0, I) to the latent vector before constraints."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints
from numpyro.distributions.transforms import (
    AffineTransform,
    ComposeTransform,
    IndependentTransform,
    LowerCholeskyAffine,
    Transform,
)
from numpyro.infer.autoguide import AutoContinuous, AutoGuide, AutoLaplaceApproximation, AutoNormal

from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import HoldingParams, posterior_law, set_up
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl.guides.target import latents_of

KNOWN = "AutoNormal, AutoMultivariateNormal, AutoIAFNormal, AutoLaplaceApproximation"


def made(base: Any, model: Callable, prefix: str, init_loc_fn: Callable) -> AutoContinuous | AutoNormal:
    """The base itself, or one made of its class for this model."""
    if isinstance(base, type) and issubclass(base, AutoGuide):
        base = base(model, prefix=prefix, init_loc_fn=init_loc_fn)
    if not isinstance(base, AutoContinuous | AutoNormal):
        got = base.__name__ if isinstance(base, type) else type(base).__name__
        raise InputError("base", expected="an automatic guide with a density", got=got, remedy=f"use one of {KNOWN}")
    return base


def prepare(base: AutoGuide, key: PRNGKey, names: list[str] | None, args: tuple, kwargs: dict[str, Any]) -> None:
    """Have the base look at its model, which must have the latents of these names, if any are given.

    **Raises:** `InputError` where it has others, or is no map from normal noise.
    """
    try:
        with handlers.block():
            set_up(base, key, args, kwargs)
    except ValueError as error:  # of a flow for a single number
        remedy = "use AutoMultivariateNormal or AutoNormal"
        raise InputError("base", expected="a guide for this model", got=error, remedy=remedy) from error
    others = latents_of(base.prototype_trace or {})
    if names is not None and set(others) != set(names):
        raise InputError(
            "base",
            expected=f"a guide of the same model, with the sites {sorted(names)}",
            got=f"one of {sorted(others)}",
            remedy="build it for this model",
        )


def fixed_params(base: AutoGuide, params: dict[str, Any] | None) -> dict[str, Any] | None:
    """The params that a base starts from: of a Laplace approximation its covariance is one from now on.

    **Raises:** `InputError` where that has not been fitted, or has no covariance.
    """
    if not isinstance(base, AutoLaplaceApproximation):
        return params
    if params is None:
        raise InputError(
            "base_params",
            expected="the params of a fitted AutoLaplaceApproximation, whose covariance is found at the mode",
            got="none",
            remedy="fit it first and pass base_params=svi_result.params, or let fit_guide do both",
        )
    with handlers.block():
        transform: Any = base.get_transform(params)
    scale_tril = transform.scale_tril
    if not is_traced(scale_tril) and not bool(jnp.all(jnp.diagonal(scale_tril) > 0)):
        raise InputError(
            "base",
            expected="a Laplace approximation at a mode with a definite Hessian",
            got="a singular one",
            remedy="fit it for longer, or use AutoMultivariateNormal",
        )
    return {**params, _scale_tril(base): scale_tril}


def transform_of(
    base: AutoContinuous | AutoNormal,
    params: dict[str, Any] | None,
    is_held: bool,
    names: list[str],
    args: tuple,
    kwargs: dict[str, Any],
) -> Transform:
    """T, from the base's params, which are declared as NumPyro param sites; they start from `params` where given."""
    with HoldingParams(is_held), handlers.substitute(data=params or {}):
        if isinstance(base, AutoNormal):
            return _diagonal(base, names, args, kwargs)
        law = posterior_law(base)
        if isinstance(base, AutoLaplaceApproximation) and params is not None:
            first = params[_scale_tril(base)]
            scale_tril: Any = numpyro.param(_scale_tril(base), first, constraint=constraints.lower_cholesky)
            return LowerCholeskyAffine(law.mean, scale_tril)
    return _of_law(law, base)


def _scale_tril(base: AutoGuide) -> str:
    return f"{base.prefix}_scale_tril"


def _diagonal(base: AutoNormal, names: list[str], args: tuple, kwargs: dict[str, Any]) -> Transform:
    """Of the normal laws of all sites laid end to end."""
    hidden = handlers.block(hide_fn=lambda site: site["type"] in ("sample", "plate"))
    with hidden, handlers.trace() as sites, handlers.seed(rng_seed=0):
        base(*args, **kwargs)

    def joined(what: str) -> Array:
        return jnp.concatenate([jnp.ravel(sites[f"{name}_{base.prefix}_{what}"]["value"]) for name in names])

    return IndependentTransform(AffineTransform(joined("loc"), joined("scale")), 1)


def _of_law(law: Any, base: AutoGuide) -> Transform:
    """The map from normal noise whose draws have this law."""
    kind = type(law)
    if kind is dist.Independent:
        return _of_law(law.base_dist, base)
    if kind is dist.Normal and len(law.batch_shape) == 1:
        return IndependentTransform(AffineTransform(law.loc, law.scale), 1)
    if kind in (dist.MultivariateNormal, dist.LowRankMultivariateNormal) and not law.batch_shape:
        return LowerCholeskyAffine(law.loc, law.scale_tril)
    if kind is dist.TransformedDistribution:
        return ComposeTransform([_of_law(law.base_dist, base), *law.transforms])
    got = f"{type(base).__name__}, whose law is a {type(law).__name__}"
    raise InputError("base", expected="a guide that maps normal noise to its draws", got=got, remedy=f"use {KNOWN}")
