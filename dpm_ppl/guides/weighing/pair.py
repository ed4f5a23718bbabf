"""`Pair`: a model and a guide with all that they are called with; what one draw of the guide weighs."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro.distributions import Distribution, Unit
from numpyro.infer.autoguide import AutoLaplaceApproximation

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import drawing_from, weighed_draw
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl.methods.sites import all_within

type Trace = dict[str, dict[str, Any]]


class Drawn(NamedTuple):
    """One draw of a guide, or many along a leading axis: log p(data, z) - log q(z), log q(z), and z by site."""

    log_weight: Array
    log_q: Array
    latents: dict[str, Array]
    deterministic: dict[str, Array]
    """What the model makes of z at its deterministic sites."""

    @property
    def sites(self) -> dict[str, Array]:
        """Latent and deterministic sites, as `MCMC.get_samples` has them."""
        return {**self.latents, **self.deterministic}


class Pair(NamedTuple):
    """A model, a guide, the values of their param sites, and the arguments that both are called with."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    params: dict[str, Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def weigh(self, key: PRNGKey, placed: dict[str, Array] | None = None) -> Drawn:
        """One draw of the guide, its sites `placed` not drawn; the draws of a key are those of NumPyro's objectives."""
        model_key, guide_key = jax.random.split(key)
        guide = self.guide if placed is None else handlers.substitute(self.guide, data=placed)
        pair = handlers.seed(self.model, model_key), handlers.seed(guide, guide_key)
        of_model, of_guide = weighed_draw(*pair, self.args, self.kwargs, self.params)
        log_p = jnp.where(all_within(of_model), _total(of_model), -jnp.inf)
        log_q = _total(of_guide)
        if placed is not None:  # what it draws itself lies in its support but for rounding
            log_q = jnp.where(all_within(of_guide), log_q, -jnp.inf)
        latents, deterministic = (
            {name: of_model[name]["value"] for name in names}
            for names in (posterior_sites(of_model, of_guide), deterministic_sites(of_model))
        )
        return Drawn(log_p - log_q, log_q, latents, deterministic)

    def log_densities(self, draws: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """By site, of the model's latents and of what it observes: log-densities of one draw, not summed over plates.

        What auxiliary sites the model has, and factors, which observe nothing, are left out.
        """
        placed = handlers.substitute(handlers.seed(self.model, 0), data=self.params | draws)
        trace = handlers.trace(placed).get_trace(*self.args, **self.kwargs)
        of_latents, of_observed = {}, {}
        for name, site in trace.items():
            if site["type"] == "sample" and (name in draws or _observes(site)):
                log_density = site["fn"].log_prob(site["value"])
                scaled = log_density if site["scale"] is None else site["scale"] * log_density
                (of_observed if site["is_observed"] else of_latents)[name] = scaled
        return of_latents, of_observed

    def observed(self) -> dict[str, np.ndarray]:
        """The values of the sites that observe something, by name."""
        return {name: np.asarray(value) for name, value in _observed(self).items()}


class Laplace(eqx.Module):
    """NumPyro's Laplace guide as a program that draws from its normal law, and not the point that it was fitted as."""

    guide: AutoLaplaceApproximation = eqx.field(static=True)
    law: Distribution

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return drawing_from(self.guide, self.law)(*args, **kwargs)


def laplace(guide: AutoLaplaceApproximation, params: dict[str, Any]) -> Laplace:
    """The law of a fitted Laplace guide, of the arguments that it was set up with.

    **Raises:** `InputError` where the Hessian at the mode is not positive definite.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is singular, which is said below
        law = guide.get_posterior(params)
    if not np.all(np.diagonal(law.scale_tril) > 0):
        raise InputError(
            "guide",
            expected="a Laplace approximation at a maximum, whose Hessian is positive definite",
            got="a Hessian that is not",
            remedy="fit it for longer, or use AutoNormal or AutoMultivariateNormal",
        )
    return Laplace(guide, law)


def latents_of(trace: Trace) -> list[str]:
    """The names of the latent sites, those included that only help to draw others."""
    return [name for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]]


def is_auxiliary(site: dict[str, Any]) -> bool:
    """Whether a latent site is marked as one that only helps to draw others."""
    return bool(site["infer"].get("is_auxiliary", False))


def posterior_sites(of_model: Trace, of_guide: Trace) -> list[str]:
    """The latents of a model that the posterior is of: neither program marks them as auxiliary."""
    latents = [name for name in latents_of(of_model) if not is_auxiliary(of_model[name])]
    return [name for name in latents if name not in of_guide or not is_auxiliary(of_guide[name])]


def deterministic_sites(of_model: Trace) -> list[str]:
    """The names of the deterministic sites of a model."""
    return [name for name, site in of_model.items() if site["type"] == "deterministic"]


def _total(trace: Trace) -> Array:
    return jnp.asarray(sum(jnp.sum(site["log_prob"]) for site in trace.values() if site["type"] == "sample"))


@eqx.filter_jit  # where what is drawn on the way is not looked at by anyone
def _observed(pair: Pair) -> dict[str, Array]:
    seeded = handlers.seed(handlers.substitute(pair.model, data=pair.params), 0)
    sites = handlers.trace(seeded).get_trace(*pair.args, **pair.kwargs)
    return {name: jnp.asarray(site["value"]) for name, site in sites.items() if _observes(site)}


def _observes(site: dict[str, Any]) -> bool:
    return site["type"] == "sample" and site["is_observed"] and not isinstance(site["fn"], Unit)
