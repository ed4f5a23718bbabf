"""Proposals by name, and which of them suit a method."""

from dpm_ppl._common.errors import InputError
from dpm_ppl.likelihood.proposals.base import AbstractProposal
from dpm_ppl.likelihood.proposals.from_guide import FromGuide
from dpm_ppl.likelihood.proposals.smc import SequentialMonteCarlo
from dpm_ppl.likelihood.proposals.trajectories import Trajectories, antithetic_noise, stratified_noise
from dpm_ppl.methods.base import AbstractMethod

PROPOSALS: dict[str, AbstractProposal] = {
    "trajectories": Trajectories(),
    "antithetic": Trajectories(move=antithetic_noise, num_particles=2),
    "stratified": Trajectories(move=stratified_noise, num_particles=8),
    "smc": SequentialMonteCarlo(64),
    "guide": FromGuide(),
}


def default_proposal(method: AbstractMethod) -> str:
    """The name of how particles are drawn where nobody says: the first kind that the method takes."""
    return method.proposals[0]


def check_proposal(proposal: AbstractProposal, method: AbstractMethod) -> None:
    """Raise `InputError` where the proposal cannot work with the method."""
    if proposal.kind not in method.proposals:
        raise InputError(
            "proposal",
            expected=f"{' or '.join(method.proposals)} for a {type(method).__name__}",
            got=type(proposal).__name__,
            remedy="leave it out",
        )
    proposal.check(method)
