"""Runs conditioned on observations: the method by its name, and the work itself, one observation after the other."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.progress import count_display
from dpm_ppl.app.observing import Noise
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.data.units import Units
from dpm_ppl.experiments.options import check_range
from dpm_ppl.posterior import MCMC, SMC, AbstractConditioning, Gibbs, Paper, Posterior, Twist, condition

METHODS = ("smc", "twist", "gibbs", "mcmc", "paper")
NUM_CHAINS, FEWEST_DRAWS = 4, 4


def method_of(
    name: str, num_particles: int | None, num_runs: int | None, num_draws: int | None
) -> AbstractConditioning:
    """The method by its name, with the numbers that it takes.

    **Raises:** `InputError` for an unknown one, numbers out of range, and numbers that it does not take.
    """
    one_of("--method", name, METHODS, "name one")
    taken = {"--num-particles": ("smc", "gibbs"), "--num-runs": ("smc",), "--num-draws": METHODS}
    given = {
        "--num-particles": (num_particles, 2),
        "--num-runs": (num_runs, 1),
        "--num-draws": (num_draws, FEWEST_DRAWS),
    }
    for flag, (number, least) in given.items():
        if number is None:
            continue
        if name not in taken[flag]:
            remedy = "leave it out" if flag == "--num-runs" else "use --num-draws"
            raise InputError(
                flag, expected=f"a method that takes it: {', '.join(taken[flag])}", got=name, remedy=remedy
            )
        check_range(flag, number, least)
    particles: dict[str, Any] = {} if num_particles is None else {"num_particles": num_particles}
    draws: dict[str, Any] = {} if num_draws is None else {"num_draws": num_draws}
    runs: dict[str, Any] = {} if num_runs is None else {"num_runs": num_runs}
    sweeps: dict[str, Any] = {} if num_draws is None else {"num_sweeps": num_draws}
    match name:
        case "smc":
            return SMC(**particles, **runs)
        case "gibbs":
            return Gibbs(**particles, **sweeps)
        case "mcmc":
            samples = {} if num_draws is None else {"num_samples": max(4, math.ceil(num_draws / NUM_CHAINS))}
            return MCMC(**samples, num_chains=NUM_CHAINS)
        case "twist":
            return Twist(**draws)
        case _:
            return Paper(**draws)


def diffusion_of(opened: OpenedRun) -> Any:
    """The trained diffusion of a run.

    **Raises:** `InputError` where the run is of another method.
    """
    if opened.method.chain is None:
        raise InputError(
            "run",
            expected="a run of a diffusion, which can be conditioned",
            got=f"one of the {opened.method_name}",
            remedy="fit the diffusion to the same data",
        )
    return opened.method.chain


def condition_all(
    opened: OpenedRun,
    observed: np.ndarray,
    noise: Noise,
    method: AbstractConditioning,
    seed: int,
    stopped: Callable[[], bool],
) -> list[Posterior]:
    """The posterior of each observation, in the units of the data; those that are done when `stopped`, one at least.

    **Raises:** `InputError`, before the first, where the method cannot work with one of them.
    """
    diffusion, units = diffusion_of(opened), opened.experiment.task.heldout.units
    observations: list[Any] = [noise.of(diffusion, one, units) for one in observed]
    for one in observations:
        method.check(diffusion, one)
    found: list[Posterior] = []
    with count_display(True, "observations", len(observed)) as show:
        for number, one in enumerate(observations):
            key = jax.random.fold_in(jax.random.key(seed), number)
            try:
                made = condition(diffusion, one, observed[number], key=key, method=method, units=units)
            except KeyboardInterrupt:
                if not found:
                    raise
                break
            found.append(replace(made, draws=_as_given(made.draws, units)))
            show(len(found))
            if stopped():
                break
    return found


def _as_given(draws: np.ndarray, units: Units) -> np.ndarray:
    """Of the kind that the data are of: levels as whole numbers, and bits."""
    return units.as_given((draws - units.shift) / units.scale)
