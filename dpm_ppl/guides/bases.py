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
from dpm_ppl.guides.target import Sites, latents_of

type Base = AutoContinuous | AutoNormal

KNOWN = "AutoNormal, AutoMultivariateNormal, AutoIAFNormal, AutoLaplaceApproximation"


def made(base: Any, model: Callable, prefix: str, init_loc_fn: Callable) -> Base:
    """The base itself, or one made of its class for this model."""
    if isinstance(base, type) and issubclass(base, AutoGuide):
        base = base(model, prefix=prefix, init_loc_fn=init_loc_fn)
    if not isinstance(base, AutoContinuous | AutoNormal):
        got = base.__name__ if isinstance(base, type) else type(base).__name__
        raise InputError("base", expected="an automatic guide with a density", got=got, remedy=f"use one of {KNOWN}")
    return base


def prepare(base: Base, key: PRNGKey, sites: Sites, args: tuple, kwargs: dict[str, Any]) -> None:
    """Have the base look at its model, which must have the same latents as `sites` of the guide's.

    **Raises:** `InputError` where it has others, or is no map from normal noise.
    """
    try:
        with handlers.block():
            set_up(base, key, args, kwargs)
            if isinstance(base, AutoContinuous):
                handlers.seed(posterior_law, key)(base)
    except (NotImplementedError, ValueError) as error:  # of guides without a map, and of a flow for a single number
        got = f"{type(base).__name__}: {error}" if str(error) else type(base).__name__
        raise InputError("base", expected="a guide that maps normal noise", got=got, remedy=f"use {KNOWN}") from error
    wanted, found = (
        {name: jnp.shape(trace[name]["value"]) for name in sorted(latents_of(trace))}
        for trace in (sites, base.prototype_trace or {})
    )
    if found != wanted:
        raise InputError(
            "base",
            expected=f"a guide of the same model, with sites of shapes {wanted}",
            got=f"one with {found}",
            remedy="build it for this model",
        )


def fixed_params(base: Base, params: dict[str, Any] | None) -> dict[str, Any] | None:
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
    base: Base,
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
