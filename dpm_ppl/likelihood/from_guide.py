"""Particles of a NumPyro program: latent sites drawn by its guide."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from numpyro import handlers

from dpm_ppl._errors import InputError
from dpm_ppl._types import Cost, Datum, PRNGKey
from dpm_ppl.likelihood.trajectories import AbstractProposal, Trajectories
from dpm_ppl.programs import Method, Program


class FromGuide(AbstractProposal):
    """One draw of the guide: log w = log p(x_0, z) - log q(z | x_0). Without latent sites it is log p(x_0) itself."""

    num_particles: int = eqx.field(static=True, default=1)

    @property
    def independent_particles(self) -> bool:
        return True

    def check(self, method: Program) -> None:
        """Every program will do."""

    def log_weight(self, method: Program, x_0: Datum, key: PRNGKey, *, steps_chunk: int | None) -> Cost:
        return method.log_weight(x_0, key)


def latents_are_discrete(program: Program, dtype: Any) -> list[bool]:
    """For every site that the guide draws, whether its values are discrete; no site means an exact likelihood."""
    found: list[bool] = []

    def look() -> None:
        guide = handlers.substitute(handlers.seed(program.guide, 0), data=program.params)
        drawn = handlers.trace(guide).get_trace(jnp.zeros((1, *program.event_shape), dtype))
        laws = [site["fn"] for site in drawn.values() if site["type"] == "sample" and not site["is_observed"]]
        found.extend(bool(law.support.is_discrete) for law in laws)

    jax.eval_shape(look)
    return found


def default_proposal(method: Method) -> AbstractProposal:
    """One particle a draw: of a program from its guide, of a diffusion a forward trajectory."""
    return FromGuide() if isinstance(method, Program) else Trajectories()


def check_proposal(proposal: AbstractProposal, method: Method) -> None:
    """Raise `InputError` where the proposal cannot work with the method."""
    if isinstance(proposal, FromGuide) != isinstance(method, Program):
        raise InputError(
            "proposal",
            expected="draws of the guide for a Program, trajectories or SMC for a Diffusion",
            got=f"{type(proposal).__name__} for a {type(method).__name__}",
            remedy="leave it out",
        )
    proposal.check(method)
