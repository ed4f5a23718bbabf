"""What a guide reads of its model: its latents, which of them it refuses, the log-density at a call's arguments."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from numpyro import handlers
from numpyro.infer.initialization import init_to_uniform
from numpyro.infer.util import constrain_fn, potential_energy
from numpyro.primitives import Messenger

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Float, PRNGKey

Sites = dict[str, dict[str, Any]]
Latents = dict[str, Array]


def traced(model: Callable, key: PRNGKey, args: tuple, kwargs: dict[str, Any]) -> Sites:
    """The sites of a model run once, of which the programs around it notice nothing.

    Latents are placed as guides place them to begin with: a draw from a vague prior may be 0 or infinite as it is
    rounded, and the model refuse it.
    """
    with handlers.block():
        placed = handlers.substitute(handlers.seed(model, key), substitute_fn=init_to_uniform)
        return handlers.trace(placed).get_trace(*args, **kwargs)


def latents_of(sites: Sites) -> list[str]:
    """Names of the latent sites."""
    return [name for name, site in sites.items() if site["type"] == "sample" and not site["is_observed"]]


def check_latents(sites: Sites) -> None:
    """Raise `InputError` unless there are latents, all continuous, and none local to a plate that is subsampled."""
    names = latents_of(sites)
    if not names:
        raise InputError(
            "model", expected="a model with latent sites", got="none", remedy="there is no posterior to approximate"
        )
    for name in names:
        site = sites[name]
        if site["fn"].support is not None and site["fn"].support.is_discrete:
            raise InputError(
                "model",
                expected="continuous latent sites",
                got=f"site {name!r} of a {type(site['fn']).__name__}",
                remedy="sum it out in the model, as MixtureSameFamily does, or hide it by handlers.block",
            )
        local = [frame.name for frame in site["cond_indep_stack"] if frame.name in subsampled_plates(sites)]
        if local:
            raise InputError(
                "model",
                expected="latent sites outside of plates that are subsampled",
                got=f"site {name!r} in plate {local[0]!r}",
                remedy="use the whole plate, or give this site a guide of its own in an AutoGuideList",
            )


def subsampled_plates(sites: Sites) -> list[str]:
    """Names of the plates of which a part is looked at."""
    plates = {name: site["args"] for name, site in sites.items() if site["type"] == "plate"}
    return [name for name, (size, part, *_) in plates.items() if part is not None and size > part]


def params_of(sites: Sites) -> dict[str, dict[str, Any]]:
    """The param sites of a model."""
    return {name: site for name, site in sites.items() if site["type"] == "param"}


class Target:
    """A model at the arguments of one call and the present values of its params.

    The log-density is that of its latents as they are before constraints. It may be stopped by `InputError` where the
    call observes less than `latents` leaves open: the guide would silently read another posterior.
    """

    def __init__(
        self, model: Callable, latents: list[str], params: dict[str, Any], args: tuple, kwargs: dict[str, Any]
    ):
        self._model = handlers.seed(handlers.substitute(model, data=params), rng_seed=0)
        self._latents, self._args, self._kwargs = frozenset(latents), args, kwargs

    def log_density(self, latents: Latents) -> Float[Array, ""]:
        """log p(data, z) with the Jacobian of the constraints."""
        with handlers.block(), _AllElseObserved(self._latents):
            return -jnp.asarray(potential_energy(self._model, self._args, self._kwargs, latents))

    def constrained(self, latents: Latents) -> Latents:
        """The latents within their supports, and the deterministic sites at this call's arguments."""
        with handlers.block():
            return constrain_fn(self._model, self._args, self._kwargs, latents, return_deterministic=True)


class _AllElseObserved(Messenger):
    """Refuses latent sites other than these."""

    def __init__(self, latents: frozenset[str]):
        Messenger.__init__(self)
        self._latents = latents

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "sample" and not msg["is_observed"] and msg["name"] not in self._latents:
            raise InputError(
                "args",
                expected=f"the arguments that the guide was made with: it reads the data at site {msg['name']!r}",
                got="a call that leaves that site open",
                remedy="draw by sample_posterior at these, then use Predictive(model, posterior_samples=draws)",
            )
