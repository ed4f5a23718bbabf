"""Particles of a NumPyro program: latent sites drawn by its guide."""

import equinox as eqx

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
