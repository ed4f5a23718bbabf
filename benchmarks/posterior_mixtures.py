"""Posteriors of normal mixtures, by their distance to exact draws: `python -m benchmarks.posterior_mixtures`."""

import itertools
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
from dpm_ppl.posterior import SMC, AbstractConditioning, Paper, Twist, condition

NUM_DRAWS = 2000
MEASUREMENTS = 1, 2, 4


@dataclass(frozen=True)
class Options:
    """Sliced Wasserstein-1 distance to exact posterior draws, and the error of the log evidence."""

    num_problems: int = 20
    """Problems in each row."""
    first_problem: int = 0
    """The first one's number. Variants were compared on those from 100 on."""
    num_runs: int = 5
    """Of sequential Monte Carlo, and sets of exact draws, for each problem; their distances are averaged."""
    sizes: tuple[int, ...] = (8, 80)
    """Coordinates."""
    num_steps: int = 100
    """T."""
    num_particles: int = 1024
    """Of sequential Monte Carlo."""


def main(options: Options) -> None:
    numbers = range(options.first_problem, options.first_problem + options.num_problems)
    title = f"sliced W1, median (quartiles) of {options.num_problems} problems; T = {options.num_steps}"
    columns = (
        "coordinates, observed",
        "exact draws",
        "smc",
        "smc over exact (90 %)",
        "plain guidance",
        "paper, constant r",
    )
    table = Table(*columns, "smc, |log Z - exact|", "seconds", title=title)
    for size, measurements in itertools.product(options.sizes, MEASUREMENTS):
        print(f"{size}, {measurements} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        rows = np.array([_distances(Problem.drawn(size, measurements, seed), seed, options) for seed in numbers])
        cells = [_cell(column) for column in rows.T]
        again = rows[np.random.default_rng(0).integers(len(rows), size=(2000, len(rows)))]
        low, high = np.quantile(_ratio(again), [0.05, 0.95])
        cells.insert(2, f"{_ratio(rows):.2f} ({low:.2f}-{high:.2f})")
        table.add_row(f"{size}, {measurements}", *cells, f"{time.perf_counter() - started:.0f}")
    Console(width=170).print(table)


def _cell(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f}-{high:.3f})" if np.isfinite(middle) else "not finite"


def _ratio(rows: np.ndarray) -> np.ndarray:
    """Median distance of sequential Monte Carlo over that of exact draws."""
    exact, smc = np.median(rows[..., :2], axis=-2).T
    return smc / exact


def _distances(problem: Problem, seed: int, options: Options) -> list[float]:
    size, rng = problem.means.shape[1], np.random.default_rng(1000 + seed)
    schedule = dpm.LogSNR(options.num_steps, 11.0, -8.0)
    diffusion = dpm.Diffusion(dpm.GaussianKernel(dpm.noise_prediction), schedule, problem.network(), (size,))
    matrix, log_z = jnp.asarray(problem.matrix * SCALE), problem.posterior()[0]
    reference = problem.exact_draws(NUM_DRAWS, rng)

    def law(x_0: jax.Array) -> dist.Distribution:
        return dist.Normal(matrix @ x_0, problem.noise)

    def found(method: AbstractConditioning, number: int = 0) -> tuple[float, float]:
        key = jax.random.fold_in(jax.random.key(seed), number)
        posterior = condition(diffusion, law, jnp.asarray(problem.y), key=key, method=method)
        draws, evidence = posterior.draws * SCALE, posterior.log_evidence
        error = np.nan if evidence is None else abs(float(evidence.mean) - log_z)
        return sliced_wasserstein_1(reference, draws, rng, weights=posterior.weights), error

    numbers = range(options.num_runs)
    exact = [sliced_wasserstein_1(reference, problem.exact_draws(NUM_DRAWS, rng), rng) for _ in numbers]
    smc, errors = zip(*[found(SMC(options.num_particles), number) for number in numbers], strict=True)
    others = [found(method)[0] for method in (Twist(NUM_DRAWS), Paper(NUM_DRAWS))]
    return [float(np.mean(exact)), float(np.mean(smc)), *others, float(np.mean(errors))]


if __name__ == "__main__":
    main(tyro.cli(Options, description=Options.__doc__))
