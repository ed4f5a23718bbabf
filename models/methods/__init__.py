"""Other variational methods by name: a builder takes training data and a seed, and returns a `Recipe` to fit."""

from collections.abc import Callable

from dpm_ppl.experiments import Recipe
from dpm_ppl.models.methods import flow, gaussian, hierarchical, mixture, vae

METHODS: dict[str, Callable[..., Recipe]] = {
    "vae": vae.vae,
    "iwae": vae.iwae,
    "hvae": hierarchical.hvae,
    "flow": flow.flow,
    "mixture": mixture.mixture,
    "gaussian": gaussian.gaussian,
}

__all__ = ["METHODS", "Recipe"]
