"""Runs conditioned on observations: the method by its name, and the work itself."""

import math
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.app.posteriors.kept import KeptPosteriors
from dpm_ppl.app.posteriors.observing import Noise
from dpm_ppl.data.units import Units
from dpm_ppl.experiments.options import check_range
from dpm_ppl.likelihood.fingerprint import fingerprint
from dpm_ppl.posterior import MCMC, SMC, AbstractConditioning, Gibbs, Paper, Posterior, Twist, Variational
from dpm_ppl.posterior.condition import condition_all

METHODS = ("smc", "twist", "gibbs", "svi", "mcmc", "paper")
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
        case "svi":
            return Variational(**draws)
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


def condition_run(
    opened: OpenedRun, observed: np.ndarray, noise: Noise, method: AbstractConditioning, seed: int, folder: Path
) -> tuple[list[Posterior], KeptPosteriors]:
    """The posterior of each observation, in the units of the data, and where they are kept, in `folder`.

    After Ctrl-C they are those that are done; another call with the same arguments goes on with the others.

    **Raises:** `InputError`, before the first, where the method cannot work with one of them.
    """
    diffusion, units = diffusion_of(opened), opened.experiment.task.heldout.units
    observations = [noise.of(diffusion, one, units) for one in observed]
    versions = version("dpm-ppl"), version("jax")
    common = [
        opened.run.identity,
        _arrays(diffusion),
        str(noise),
        str(method),
        _arrays(method),
        diffusion.num_steps,
        seed,
        *versions,
    ]
    kept = KeptPosteriors(folder, [fingerprint(*common, number, one) for number, one in enumerate(observed)])
    key, options = jax.random.key(seed), {"method": method, "units": units, "progress": True, "done": kept}
    found = condition_all(diffusion, observations, observed, key=key, **options)
    return [replace(one, draws=_as_given(one.draws, units)) for one in found], kept


def _arrays(parts: Any) -> list[Any]:
    return jax.tree.leaves(eqx.filter(parts, eqx.is_array))


def _as_given(draws: np.ndarray, units: Units) -> np.ndarray:
    """Of the kind that the data are of: levels as whole numbers, and bits."""
    return units.as_given((draws - units.shift) / units.scale)
