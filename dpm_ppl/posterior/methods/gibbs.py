"""Particle Gibbs as a method: few particles, many sweeps."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro.diagnostics import effective_sample_size as ess_of_chains

from dpm_ppl._common.types import PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.estimates.standard_errors import Estimate
from dpm_ppl.posterior.gibbs import first_path, sweeps
from dpm_ppl.posterior.methods.base import AbstractConditioning, Drawn, count, equal_weights
from dpm_ppl.posterior.methods.plain import Twist
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.result import verdict_of


class Gibbs(AbstractConditioning):
    """`num_sweeps` sweeps of `num_particles` after `num_warmup` that are dropped; each sweep gives one draw.

    Right as the sweeps go on, for any number of particles from two. Memory grows with T times particles. Long chains of
    small steps are renewed slowly from above: see `renewed` in the statistics, the share of the path that a sweep
    changes.
    """

    num_particles: int = eqx.field(static=True, default=32, converter=count("num_particles", 2))
    num_sweeps: int = eqx.field(static=True, default=1000, converter=count("num_sweeps", 4))
    num_warmup: int = eqx.field(static=True, default=100, converter=count("num_warmup", 0))
    proposal: Twist = eqx.field(default_factory=Twist)
    name: ClassVar[str] = "gibbs"

    def check(self, diffusion: StepLaws, observation: AbstractObservation) -> None:
        diffusion.check_steps_move()

    def draw(self, diffusion: StepLaws, observation: AbstractObservation, key: PRNGKey) -> Drawn:
        twist = self.proposal.twist(diffusion, observation)
        first_key, sweep_key = jax.random.split(key)
        path = first_path(diffusion, twist, first_key)
        keys = jax.random.split(sweep_key, self.num_warmup + self.num_sweeps)
        _, kept = sweeps(diffusion, twist, observation, path, keys, self.num_particles)
        draws = np.asarray(kept.path)[self.num_warmup :]
        reciprocal = -np.asarray(kept.log_evidence, np.float64)[self.num_warmup :]
        evidence = _negative(reciprocal)
        effective = _effective(draws)
        statistics = {"renewed": float(jnp.mean(kept.renewed[self.num_warmup :])), "smallest_ess": effective}
        verdict = verdict_of(effective, float(evidence.se))
        notices = (
            () if verdict == "reliable" else (f"{effective:,.0f} effective sweeps: raise num_sweeps or num_particles",)
        )
        return Drawn(draws, equal_weights(len(draws)), evidence, verdict, statistics, notices)


def _effective(draws: np.ndarray) -> float:
    """The fewest effective sweeps of any coordinate that moves."""
    flat = draws.reshape(1, len(draws), -1).astype(np.float64)
    moving = flat[:, :, flat.std(axis=1)[0] > 0]
    return float(np.min(ess_of_chains(moving))) if moving.size else float(len(draws))


def _negative(log_reciprocals: np.ndarray) -> Estimate:
    """-log of the mean of dependent values, its error widened by how few of them are independent."""
    peak = log_reciprocals.max()
    values = np.exp(log_reciprocals - peak)
    if values.std() < 1e-12 * values.mean():
        return Estimate(float(-peak), 0.0, len(values))
    effective = float(ess_of_chains(values[None]))
    error = values.std(ddof=1) / np.sqrt(max(effective, 1.0)) / values.mean()
    return Estimate(float(-peak - np.log(values.mean())), float(error), len(values))
