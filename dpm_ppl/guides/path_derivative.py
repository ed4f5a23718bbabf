"""`PathDerivativeELBO`: the lower bound with a gradient that is quiet where the guide is close to the posterior."""

from collections.abc import Callable
from typing import Any

from numpyro.infer import Trace_ELBO
from numpyro.infer.elbo import ELBO
from numpyro.primitives import Messenger

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl.guides.chains import PathLaw


class PathDerivativeELBO(ELBO):
    """`Trace_ELBO` of an `AutoDiffusion`, value by value, with the gradient of Roeder, Wu and Duvenaud (2017).

    The density of the chain that generates is taken with its parameters held ("sticking the landing"): what is left out
    is zero on average, and its noise would stay when all else has gone. Bounds of several weighed particles, such as
    `RenyiELBO`, are biased by it, and this objective has none: its particles are averaged.

    **Raises:** `InputError` unless `num_particles` is a positive integer, and for a guide without an `AutoDiffusion`.
    """

    def __init__(self, num_particles: int = 1, vectorize_particles: bool | Callable = True):
        ELBO.__init__(self, whole_number("num_particles", num_particles), vectorize_particles)

    def loss_with_mutable_state(self, rng_key, param_map, model, guide, *args, **kwargs):
        holding = _HoldingDensities(guide)
        parallel: Any = self.vectorize_particles
        bound = Trace_ELBO(self.num_particles, parallel)
        result = bound.loss_with_mutable_state(rng_key, param_map, model, holding, *args, **kwargs)
        if not holding.num_held:
            raise InputError(
                "guide",
                expected="an AutoDiffusion, alone or among others",
                got="a guide without a path",
                remedy="train it with Trace_ELBO",
            )
        return result


class _HoldingDensities(Messenger):
    """Takes the path derivative at all sites of paths."""

    num_held = 0

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "sample" and isinstance(msg["fn"], PathLaw):
            msg["fn"] = msg["fn"].with_path_derivative()
            self.num_held += 1
