"""Sequential Monte Carlo: many particles, weights, and an unbiased evidence."""

from typing import ClassVar

import equinox as eqx
import jax
import numpy as np

from dpm_ppl._common.types import PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.likelihood.diagnostics import RELIABLE, effective_sample_size
from dpm_ppl.posterior.methods.base import AbstractConditioning, Drawn, count, evidence_of
from dpm_ppl.posterior.methods.plain import Paper, Twist, check_weighable
from dpm_ppl.posterior.methods.svi import Variational
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.particles import num_lines, run
from dpm_ppl.posterior.result import ENOUGH_RUNS, verdict_of
from dpm_ppl.smc.adaptive import share_of_particles
from dpm_ppl.smc.resampling import Resample, systematic


class SMC(AbstractConditioning):
    """Particles that move by the law of a `proposal`, are weighted, and are resampled where few carry the weight.

    Right as `num_particles` grows, for any proposal; the evidence is unbiased for any number. `num_runs` of them are
    made one after the other, and pooled by their evidences: what one run misses another may find, and their spread is
    part of the error. `resample` is one of `dpm_ppl.smc`, and `threshold` the share of the particles at or below which
    the effective sample size calls for it.
    """

    num_particles: int = eqx.field(static=True, default=1024, converter=count("num_particles", 2))
    proposal: Paper | Twist | Variational = eqx.field(default_factory=Twist)
    num_runs: int = eqx.field(static=True, default=1, converter=count("num_runs"))
    resample: Resample = eqx.field(static=True, default=systematic)
    threshold: float = eqx.field(
        static=True,
        default=0.5,
        converter=share_of_particles,
    )
    name: ClassVar[str] = "smc"

    def check(self, diffusion: StepLaws, observation: AbstractObservation) -> None:
        if isinstance(self.proposal, Variational):
            self.proposal.check_trained()
            self.proposal.check(diffusion, observation)
        else:
            check_weighable(self.proposal, observation)
        diffusion.check_steps_move()

    def draw(self, diffusion: StepLaws, observation: AbstractObservation, key: PRNGKey) -> Drawn:
        twist = self.proposal.twist(diffusion, observation)
        runs = [
            run(
                diffusion,
                twist,
                observation,
                jax.random.fold_in(key, number),
                self.num_particles,
                self.resample,
                self.threshold,
            )
            for number in range(self.num_runs)
        ]
        states = [state for state, _ in runs]
        totals, evidence = evidence_of(states)
        peak = totals.max() if np.isfinite(totals.max()) else 0.0
        log_weights = np.concatenate(
            [
                np.asarray(state.log_weights, np.float64) + total - peak
                for state, total in zip(states, totals, strict=True)
            ]
        )
        log_weights -= np.logaddexp.reduce(log_weights)
        lines = np.array([int(num_lines(state)) for state in states])
        along = np.array([np.asarray(ess, np.float64) for _, ess in runs])
        ess = float(effective_sample_size(log_weights))
        effective = min(ess, float(along.min()) * self.num_runs)
        if self.num_runs < ENOUGH_RUNS:  # no run sees by itself what all its lines have missed
            effective = min(effective, float(lines.sum()))
        verdict = verdict_of(effective, float(evidence.se))
        statistics = {
            "ess_along_chain": along,
            "smallest_ess": float(along.min()),
            "num_lines": lines,
            "num_resampled": np.array([int(state.num_resampled) for state in states]),
            "log_evidence_of_runs": totals,
            "twist": type(twist).__name__,
        }
        draws = np.concatenate([np.asarray(state.particles) for state in states])
        return Drawn(draws, log_weights, evidence, verdict, statistics, _notices(verdict, lines, self))


def _notices(verdict: str, lines: np.ndarray, method: SMC) -> tuple[str, ...]:
    if verdict == RELIABLE:
        return ()
    if method.num_runs >= ENOUGH_RUNS:
        return (f"the {method.num_runs} runs do not agree well enough: raise num_particles, or use Gibbs",)
    few = int(lines.min())
    if few > method.num_particles / 2:
        return (f"too few effective draws of {method.num_particles:,} particles: raise num_particles",)
    what = f"the particles descend from {few:,} of {method.num_particles:,} first ones"
    return (f"{what}: raise num_particles, or num_runs to {ENOUGH_RUNS}, whose spread is an error, or use Gibbs",)
