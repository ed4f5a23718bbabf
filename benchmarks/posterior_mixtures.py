"""Posteriors of normal mixtures, by their distance to exact draws: `python -m benchmarks.posterior_mixtures`."""

import sys
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import tyro
from rich.console import Console
from rich.table import Table

import dpm_ppl as dpm
from benchmarks.mixtures import SCALE, Problem, sliced_wasserstein_1
from dpm_ppl.posterior import SMC, Paper, Twist, condition

NUM_DRAWS = 2000
CELLS = ((8, 1), (8, 2), (8, 4), (80, 1), (80, 2), (80, 4))


@dataclass(frozen=True)
class Options:
    """Sliced Wasserstein-1 distance to exact posterior draws, and the error of the log evidence."""

    num_problems: int = 20
    """Problems in each row."""
    num_steps: int = 100
    """T."""
    num_particles: int = 1024
    """Of sequential Monte Carlo."""


def main(options: Options) -> None:
    methods = {
        "smc": SMC(options.num_particles),
        "plain guidance": Twist(NUM_DRAWS),
        "paper, constant r": Paper(NUM_DRAWS),
    }
    table = Table(title=f"sliced W1, median (quartiles) of {options.num_problems}; T = {options.num_steps}")
    for column in ("coordinates, observed", "exact draws", *methods, "smc, |log Z - exact|", "seconds"):
        table.add_column(column, justify="right")
    for size, measurements in CELLS:
        print(f"{size}, {measurements} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        rows = np.array(
            [_distances(size, measurements, seed, methods, options) for seed in range(options.num_problems)]
        )
        quartiles = np.quantile(rows, [0.25, 0.5, 0.75], axis=0).T
        cells = [_cell(*row) for row in quartiles]
        table.add_row(f"{size}, {measurements}", *cells, f"{time.perf_counter() - started:.0f}")
    Console(width=170).print(table)


def _cell(low: float, middle: float, high: float) -> str:
    return f"{middle:.3f} ({low:.3f}-{high:.3f})" if np.isfinite(middle) else "not finite"


def _distances(size: int, measurements: int, seed: int, methods: dict, options: Options) -> list[float]:
    problem, rng = Problem.drawn(size, measurements, seed), np.random.default_rng(1000 + seed)
    schedule = dpm.LogSNR(options.num_steps, 11.0, -8.0)
    diffusion = dpm.Diffusion(dpm.GaussianKernel(dpm.noise_prediction), schedule, problem.network(), (size,))
    reference = problem.exact_draws(NUM_DRAWS, rng)
    found = [sliced_wasserstein_1(reference, problem.exact_draws(NUM_DRAWS, rng), rng)]
    matrix, log_z = jnp.asarray(problem.matrix * SCALE), problem.posterior()[0]

    def law(x_0: jax.Array) -> dist.Distribution:
        return dist.Normal(matrix @ x_0, problem.noise)

    error = np.nan
    for name, method in methods.items():
        posterior = condition(diffusion, law, jnp.asarray(problem.y), key=jax.random.key(seed), method=method)
        draws = posterior.resampled(jax.random.key(seed), NUM_DRAWS) * SCALE
        found.append(sliced_wasserstein_1(reference, draws, rng))
        if name == "smc" and posterior.log_evidence is not None:
            error = abs(float(posterior.log_evidence.mean) - log_z)
    return [*found, error]


if __name__ == "__main__":
    main(tyro.cli(Options, description=Options.__doc__))
