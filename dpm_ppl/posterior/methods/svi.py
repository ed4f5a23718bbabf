"""Variational inference: a guide that is a reverse chain itself, trained for one observation or for many."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_key, number_in, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.interruption import interruptible
from dpm_ppl._common.progress import progress_display
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.estimates import estimate
from dpm_ppl.likelihood.diagnostics import (
    DOUBTFUL,
    EQUAL_WEIGHTS,
    RELIABLE,
    effective_sample_size,
    is_khat_bad,
    pareto_khat,
)
from dpm_ppl.networks import AbstractNetwork, TimeMLP
from dpm_ppl.posterior.methods.base import AbstractConditioning, Drawn, count, evidence_of
from dpm_ppl.posterior.methods.plain import Paper, Twist, check_weighable
from dpm_ppl.posterior.observations import AbstractObservation, for_methods
from dpm_ppl.posterior.observed import maker, simulated
from dpm_ppl.posterior.particles import run
from dpm_ppl.posterior.recognition import Likelihood
from dpm_ppl.posterior.result import verdict_of
from dpm_ppl.posterior.training.cases import Cases, Reader, cases_of, check_form, form_of
from dpm_ppl.posterior.training.lower_bound import UPDATES_PER_CHUNK, Settings, network_of, start, updates
from dpm_ppl.posterior.twists import AbstractTwist, EnumeratedTwist, LearnedTwist, LinearChainTwist
from dpm_ppl.smc.resampling import systematic

MOST_OBSERVATIONS = 16
"""That one update of an amortised training looks at."""


class Guide(eqx.Module):
    """A trained network, what it reads of an observation, and the form that the observation must have."""

    network: AbstractNetwork
    reader: Reader
    form: Any = eqx.field(static=True)
    num_skipped: int = eqx.field(static=True)
    """Updates that were dropped, as their gradient was not finite."""


class Variational(AbstractConditioning):
    """A guide trained to be the posterior, whose draws are weighted: the evidence is unbiased however well it is.

    The guide is the chain led by `proposal`, each step of it corrected by a network of `depth` blocks of `width` units.
    The network starts at no correction, and Adam, from `learning_rate` downwards, makes `num_updates` of it that raise
    the lower bound of the log evidence over `num_particles` paths. The bound comes among the statistics.

    As it stands it trains anew for each observation. `amortised` gives the same method with a guide that has been
    trained for many, and takes no more than its draws. It is named for what it does: NumPyro's `SVI` does the training.
    """

    num_draws: int = eqx.field(static=True, default=1000, converter=count("num_draws", 2))
    num_updates: int = eqx.field(static=True, default=1000, converter=count("num_updates", 0))
    num_particles: int = eqx.field(static=True, default=32, converter=count("num_particles", 2))
    proposal: Paper | Twist = eqx.field(default_factory=Twist)
    width: int = eqx.field(static=True, default=64, converter=count("width"))
    depth: int = eqx.field(static=True, default=2, converter=count("depth"))
    learning_rate: float = eqx.field(static=True, default=3e-3, converter=lambda value: _rate(value))
    guide: Guide | None = None
    name: ClassVar[str] = "svi"

    def check(self, diffusion: StepLaws, observation: AbstractObservation) -> None:
        check_weighable(self.proposal, observation)
        diffusion.check_steps_move()
        if self.guide is not None:
            check_form(self.guide.form, form_of(observation), "the one given, than the guide was trained for")

    def check_trained(self) -> None:
        """Raise `InputError` where there is no guide yet to lead particles with."""
        if self.guide is None:
            raise InputError(
                "proposal",
                expected="a guide that has been trained",
                got="Variational() as it stands",
                remedy="use Variational().amortised(diffusion, likelihood, key=key)",
            )

    def twist(self, diffusion: StepLaws, observation: AbstractObservation) -> AbstractTwist:
        """The moves of the guide; those of `proposal` where nothing has been trained yet."""
        twist = self.proposal.twist(diffusion, observation)
        return twist if self.guide is None else LearnedTwist(twist, self.guide.network, self.guide.reader(observation))

    def draw(self, diffusion: StepLaws, observation: AbstractObservation, key: PRNGKey) -> Drawn:
        train_key, draw_key = jax.random.split(key)
        twist, guide = self.proposal.twist(diffusion, observation), self.guide
        if guide is None and not isinstance(twist, LinearChainTwist | EnumeratedTwist):
            guide = self._trained(diffusion, *cases_of([(observation, twist)]), train_key)
        name, num_skipped = type(twist).__name__, 0
        if guide is not None:
            twist, num_skipped = LearnedTwist(twist, guide.network, guide.reader(observation)), guide.num_skipped
        state, _ = run(diffusion, twist, observation, draw_key, self.num_draws, systematic, 0.0)
        log_weights = np.asarray(state.log_weights, np.float64)
        (total,), evidence = evidence_of([state])
        ess, khat = float(effective_sample_size(log_weights)), float(pareto_khat(log_weights))
        verdict = verdict_of(ess, float(evidence.se))
        are_equal = self.num_draws / ess - 1 < EQUAL_WEIGHTS**2
        if verdict == RELIABLE and not are_equal and is_khat_bad(khat, self.num_draws):
            verdict = DOUBTFUL
        statistics = {"khat": khat, "num_skipped": num_skipped, "twist": name}
        bound = estimate(log_weights + total + math.log(self.num_draws))
        what = f"{ess:,.0f} of {self.num_draws:,} draws are effective, k-hat {khat:.2f}"
        remedy = "raise num_updates or num_draws, or correct it by resampling: SMC(proposal=...)"
        notices = () if verdict == RELIABLE else (f"{what}: {remedy}",)
        if num_skipped:
            notices += (
                f"{num_skipped:,} updates were not finite and dropped: lower learning_rate, or use another proposal",
            )
        return Drawn(np.asarray(state.particles), log_weights, evidence, verdict, statistics, notices, bound)

    def amortised(
        self,
        diffusion: StepLaws,
        likelihood: Likelihood | None,
        observed: Any = None,
        *,
        key: PRNGKey,
        num_observations: int = 256,
        units: Units | None = None,
        progress: bool = True,
    ) -> "Variational":
        """This method with a guide trained for many observations, which reads the one that it is then given.

        **Arguments:** `likelihood` and `units` as for `condition`; `observed`, `(observation, ...)`, what to train for,
        or None for `num_observations` that are simulated from diffusion and likelihood.

        The first Ctrl-C ends the training with what it has come to, which is as right as any guide.

        **Raises:** `InputError` where the observations cannot be simulated, or are not of one form.
        """
        key, simulation_key = jax.random.split(check_key(key))
        if observed is None:
            num_observations = whole_number("num_observations", num_observations)
            observed = simulated(diffusion, likelihood, simulation_key, num_observations, units)
        if not len(observed):
            raise InputError("observed", expected="observations", got="none", remedy="leave it out to simulate them")
        plain = eqx.tree_at(lambda one: one.guide, self, None, is_leaf=lambda leaf: leaf is None)
        make = maker(diffusion, likelihood, observed[0], units)
        observations = [for_methods(make(one)) for one in observed]
        plain.check(diffusion, observations[0])
        cases = [(one, plain.twist(diffusion, one)) for one in observations]
        with interruptible("updates") as asked:
            guide = self._trained(diffusion, *cases_of(cases), key, progress=progress, asked=asked)
        return eqx.tree_at(lambda one: one.guide, plain, guide, is_leaf=lambda leaf: leaf is None)

    def _trained(
        self,
        diffusion: StepLaws,
        cases: Cases,
        reader: Reader,
        key: PRNGKey,
        *,
        progress: bool = False,
        asked: Callable[[], bool] = lambda: False,
    ) -> Guide:
        network_key, key = jax.random.split(key)
        size = diffusion.num_coordinates + len(reader.mean)
        shape: dict[str, Any] = {"width": self.width, "depth": self.depth, "key": network_key}
        network = TimeMLP((size,), diffusion.kernel.num_outputs, diffusion.num_steps, **shape)
        most = min(cases.num, MOST_OBSERVATIONS)
        settings = Settings(self.num_updates, max(2, self.num_particles // most), most, self.learning_rate)
        problem = diffusion, cases, reader, network, settings
        state, done = start(*problem, key), 0
        with progress_display(progress, total=self.num_updates, done=0, unit="nats") as show:
            while done < self.num_updates and not asked():
                length = min(UPDATES_PER_CHUNK, self.num_updates - done)
                state, losses = updates(state, *problem, jnp.asarray(length))
                done += length
                show(done, loss=float(jnp.mean(losses[:length])), skipped=int(state.num_skipped))
        form = form_of(cases[jnp.asarray(0)][0])
        return Guide(network_of(state, network), reader, form, int(state.num_skipped))


def _rate(value: Any) -> float:
    return number_in("learning_rate", value, 0, expected="a positive number", remedy="for example 3e-3")
