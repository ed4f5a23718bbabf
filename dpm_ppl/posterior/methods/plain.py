"""The samplers without weights: the paper's recipe, and the twisted chain by itself. Both are quick and approximate."""

from typing import ClassVar, get_args

import equinox as eqx
import numpy as np

from dpm_ppl._common.checks import check_kind, one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.likelihood.diagnostics import effective_sample_size, pareto_khat
from dpm_ppl.posterior.methods.base import APPROXIMATE, AbstractConditioning, Drawn, count, equal_weights, evidence_of
from dpm_ppl.posterior.observations import AbstractObservation, NormalCoordinates
from dpm_ppl.posterior.particles import descend_unweighted, run
from dpm_ppl.posterior.result import verdict_of
from dpm_ppl.posterior.twists import AbstractTwist, Covariance, EnumeratedTwist, LinearChainTwist, PaperTwist, twist_for
from dpm_ppl.smc.resampling import systematic


def _covariance(value: Covariance | None) -> Covariance | None:
    return None if value is None else one_of("covariance", value, get_args(Covariance))


class Paper(AbstractConditioning):
    """The recipe as published (paper, eq. 22 and 61, table App.1): each step multiplied by r, constant or `annealed`.

    Biased, by construction and not for want of steps: a constant r counts the observation twice. For comparison, and
    for pictures. Known coordinates are clamped at every step.
    """

    num_draws: int = eqx.field(static=True, default=1000, converter=count("num_draws", 2))
    annealed: bool = eqx.field(static=True, default=False)
    name: ClassVar[str] = "paper"

    def twist(self, diffusion: StepLaws, observation: AbstractObservation) -> AbstractTwist:
        """What leads its moves; `SMC(proposal=Paper())` corrects them by weights."""
        return PaperTwist(observation, self.annealed)

    def check(self, diffusion: StepLaws, observation: AbstractObservation) -> None:
        pass

    def draw(self, diffusion: StepLaws, observation: AbstractObservation, key: PRNGKey) -> Drawn:
        draws = np.asarray(descend_unweighted(diffusion, self.twist(diffusion, observation), key, self.num_draws))
        return Drawn(draws, equal_weights(len(draws)), None, APPROXIMATE, {})


class Twist(AbstractConditioning):
    """The chain led by a guess of how well x_t will explain the observation, without weights.

    Exact for linear chains under normal observations and for up to eight bits. For all else the guess takes x_0 given
    x_t to be normal (or its bits to be independent), and the draws are approximate; what the weights of the same paths
    would say is told beside them. `covariance` says where that normal law has its covariance from: "jacobian", the
    derivative of the predicted x_0, which sees how coordinates hang together and takes a backward pass per measurement
    (the default for up to four of them); "average", what the predictions of 512 paths of the chain were seen to miss,
    the same for all x_t of a step (the default for more); or "variance", of each coordinate by itself, for data of more
    than 1,024 coordinates.
    """

    num_draws: int = eqx.field(static=True, default=1000, converter=count("num_draws", 2))
    covariance: Covariance | None = eqx.field(static=True, default=None, converter=_covariance)
    name: ClassVar[str] = "twist"

    def twist(self, diffusion: StepLaws, observation: AbstractObservation) -> AbstractTwist:
        """What leads its moves."""
        return twist_for(diffusion, observation, self.covariance)

    def check(self, diffusion: StepLaws, observation: AbstractObservation) -> None:
        diffusion.check_steps_move()

    def draw(self, diffusion: StepLaws, observation: AbstractObservation, key: PRNGKey) -> Drawn:
        twist = self.twist(diffusion, observation)
        state, _ = run(diffusion, twist, observation, key, self.num_draws, systematic, 0.0)
        log_weights = np.asarray(state.log_weights, np.float64)
        _, evidence = evidence_of([state])
        is_exact = isinstance(twist, LinearChainTwist | EnumeratedTwist)
        ess = float(effective_sample_size(log_weights))
        statistics = {
            "ess_of_paths": ess,
            "khat_of_paths": float(pareto_khat(log_weights)),
            "twist": type(twist).__name__,
        }
        verdict = verdict_of(float(self.num_draws), float(evidence.se)) if is_exact else APPROXIMATE
        draws = np.asarray(state.particles)
        return Drawn(draws, equal_weights(len(draws)), evidence, verdict, statistics)


def check_weighable(proposal: object, observation: AbstractObservation) -> None:
    """Raise `InputError` where no weights can correct moves: those of no proposal, and clamped coordinates."""
    check_kind("proposal", proposal, Paper | Twist, expected="a way to lead the chain", remedy="for example Twist()")
    is_exact = isinstance(observation, NormalCoordinates) and bool((observation.variance <= 0).any())
    if isinstance(proposal, Paper) and is_exact:
        raise InputError(
            "proposal",
            expected="one that has weights: clamped coordinates leave none",
            got="Paper() and coordinates that are known exactly",
            remedy="use Twist()",
        )
