"""Posteriors with a fitted swiss roll, beside what quadrature gives: `python -m benchmarks.posterior_roll RUN`.

RUN is made by `dpm-ppl fit swissroll --noise 0.5 --num-steps 500 --updates 6000 --out RUN`. The first coordinate is
observed with normal noise. The reference is the posterior under the law of the data, not under the fitted chain, so the
distances have the chain's own error in them; the row "plain samples" tells it apart: draws of the chain, as many as it
takes, with their likelihoods as weights.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import tyro
from rich.console import Console
from rich.table import Table

import dpm_ppl as dpm
from benchmarks.mixtures import sliced_wasserstein_1
from dpm_ppl.analysis.posteriors import Calibration, calibrate
from dpm_ppl.app import runs
from dpm_ppl.app.opened import load_to_draw
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.models.swissroll import FIRST_ANGLE, LAST_ANGLE, generate
from dpm_ppl.posterior import SMC, AbstractConditioning, Paper, Twist, condition

NUM_REFERENCE = 20_000
NUM_SIMULATIONS, NUM_RANKED, NUM_PARTICLES_RANKED = 300, 49, 128


@dataclass(frozen=True)
class Options:
    """Sliced Wasserstein-1 distances to the exact posterior over that of exact draws, and calibration."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run directory of a swiss roll."""
    num_observations: int = 20
    """Points of the roll, each observed once."""
    num_particles: int = 1024
    """And draws of every method."""
    sigma: float = 1.0
    """Standard deviation of the observation's noise, in the units of the data."""
    num_samples: int = 50_000
    """Plain samples of the chain."""
    calibration: bool = True
    """Rank draws of the chain among those of their posteriors as well."""


def main(options: Options) -> None:
    opened = runs.open_run(options.run)
    experiment = opened.declare_to_draw(EXPERIMENTS)
    diffusion: dpm.Diffusion = load_to_draw(opened, experiment, None).method  # pyright: ignore
    roll = Roll(opened.options["noise"], options.sigma, diffusion, experiment.task.heldout.units)
    Console(width=120).print(_distances(roll, options))
    if options.calibration:
        for name, method in (("smc", SMC(NUM_PARTICLES_RANKED)), ("paper, constant r", Paper(NUM_RANKED))):
            print(f"calibration of {name}: {_calibration(roll, method)}", flush=True)


@dataclass(frozen=True)
class Roll:
    """The roll, a chain fitted to it, and the observation of its first coordinate."""

    noise: float
    sigma: float
    diffusion: dpm.Diffusion
    units: dpm.data.Units

    def law(self, x_0: jax.Array) -> dist.Distribution:
        return dist.Normal(x_0[0], self.sigma)

    def exact_draws(self, y: float, num: int, rng: np.random.Generator) -> np.ndarray:
        """Of the posterior under the law of the data: the angle by quadrature, the rest is normal given it."""
        angle = np.linspace(FIRST_ANGLE, LAST_ANGLE, 200_001)
        centre, spread = angle * np.cos(angle), self.noise**2 + self.sigma**2
        likelihood = np.exp(-0.5 * (y - centre) ** 2 / spread)
        angle = np.interp(rng.uniform(size=num), np.cumsum(likelihood) / likelihood.sum(), angle)
        gain = self.noise**2 / spread
        centre = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        centre[:, 0] += gain * (y - centre[:, 0])
        return centre + self.noise * np.array([math.sqrt(1 - gain), 1.0]) * rng.normal(size=(num, 2))

    def posterior(self, y: jax.Array | float, method: AbstractConditioning, key: jax.Array) -> dpm.posterior.Posterior:
        return condition(self.diffusion, self.law, jnp.asarray(y), key=key, method=method, units=self.units)


def _distances(roll: Roll, options: Options) -> Table:
    num = options.num_particles
    methods = {"smc": SMC(num), "twist": Twist(num), "paper, constant r": Paper(num)}
    samples = roll.units.unstandardise(roll.diffusion.sample(jax.random.key(1), options.num_samples))
    found: dict[str, list[float]] = {name: [] for name in ("exact draws", *methods, "plain samples")}
    for seed in range(options.num_observations):
        rng = np.random.default_rng(seed)
        y = float(generate(1, roll.noise, rng)[0, 0] + roll.sigma * rng.normal())
        reference = roll.exact_draws(y, NUM_REFERENCE, rng)
        exact = [sliced_wasserstein_1(reference, roll.exact_draws(y, num, rng), rng) for _ in range(5)]
        found["exact draws"].append(float(np.mean(exact)))
        for name, method in methods.items():
            posterior = roll.posterior(y, method, jax.random.key(seed))
            found[name].append(sliced_wasserstein_1(reference, posterior.draws, rng, weights=posterior.weights))
        weights = np.exp(-0.5 * ((y - samples[:, 0]) / roll.sigma) ** 2)
        found["plain samples"].append(sliced_wasserstein_1(reference, samples, rng, weights=weights / weights.sum()))
    title = f"sliced W1 to the exact posterior, {options.num_observations} observations; sigma = {roll.sigma:g}"
    table = Table("", "median (quartiles)", "over that of exact draws: median", "90 % interval", title=title)
    for name, values in found.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        ratio = np.array(values) / np.array(found["exact draws"])
        again = np.random.default_rng(0).integers(len(ratio), size=(2000, len(ratio)))
        interval = np.quantile(np.median(ratio[again], axis=1), [0.05, 0.95])
        cells = f"{middle:.3f} ({low:.3f}-{high:.3f})", f"{np.median(ratio):.2f}", "{:.2f}-{:.2f}".format(*interval)
        table.add_row(name, *cells)
    return table


def _calibration(roll: Roll, method: AbstractConditioning) -> Calibration:
    """x_0 from the fitted chain, its observation, and ranks of the coordinates and of log r(x_0)."""

    def simulate(key: jax.Array) -> tuple[dict[str, Any], Any]:
        chain_key, noise_key = jax.random.split(key)
        x_0 = jnp.asarray(roll.units.unstandardise(roll.diffusion.sample(chain_key, 2)))[0]
        return {"x_0": x_0}, roll.law(x_0).sample(noise_key)

    def approximate(y: jax.Array, key: jax.Array) -> dict[str, np.ndarray]:
        return {"x_0": roll.posterior(y, method, key).resampled(key, NUM_RANKED)}

    def log_likelihood(parameters: Any, y: Any) -> dict[str, Any]:
        return {"log r": roll.law(parameters["x_0"]).log_prob(y)}

    options = {"num_simulations": NUM_SIMULATIONS, "quantities": log_likelihood, "compiled": False}
    return calibrate(simulate, approximate, jax.random.key(2), **options)


if __name__ == "__main__":
    main(tyro.cli(Options, description=Options.__doc__))
