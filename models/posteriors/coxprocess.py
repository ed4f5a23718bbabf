"""`cox_process`: points in the unit square, counted on a grid, whose log intensity is a Gaussian process."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates import Estimate
from dpm_ppl.models.posteriors._target import Data, Target

FINEST = 32
"""Cells to a side of the grid that the points are simulated on."""
NUM_EXPECTED, VARIANCE, LENGTH = 126, 1.91, 0.2
"""Points expected in the square, variance of the log intensity, and the scale of its exponential covariance."""


def cox_process(grid: int = 8) -> Target:
    """A log-Gaussian Cox process on a grid of `grid` x `grid` cells, its noise N(0, 1) as latents: grid^2 dimensions.

    Number and variance are those that Møller, Syversveen and Waagepetersen (1998) fitted to Scots pine saplings; their
    correlation, of a thirty-third of the square, would leave hardly any between cells so large. The points are
    simulated on a grid of 32 x 32; any `grid` that divides 32 counts the same points.

    **Raises:** `InputError` for another grid.
    """
    if not isinstance(grid, int) or grid < 1 or FINEST % grid:
        raise InputError("grid", expected=f"a divisor of {FINEST}", got=grid, remedy="pass 4, 8, 16 or 32")
    points = _simulated()
    counts = points.reshape(grid, FINEST // grid, grid, FINEST // grid).sum(axis=(1, 3)).ravel()
    factor = np.linalg.cholesky(_covariance(grid))

    def model(factor: Data, counts: Data) -> None:
        noise = numpyro.sample("noise", dist.Normal().expand([len(counts)]).to_event(1))
        mean = np.log(NUM_EXPECTED) - VARIANCE / 2
        log_intensity = numpyro.deterministic("log_intensity", mean + factor @ noise)
        with numpyro.plate("cell", len(counts)):
            numpyro.sample("count", dist.Poisson(jnp.exp(log_intensity) / len(counts)), obs=counts)

    return Target(
        name="cox_process",
        model=model,
        args=(factor, counts),
        log_evidence=Estimate(-89.278, 0.009, 1) if grid == 8 else None,
        obtained="bridge sampling, python -m benchmarks.posterior_evidences cox_process",
        source="Møller, Syversveen and Waagepetersen (1998), Log Gaussian Cox processes; simulated",
    )


def _covariance(grid: int) -> np.ndarray:
    side = (np.arange(grid) + 0.5) / grid
    cells = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    distances = np.linalg.norm(cells[:, None] - cells, axis=-1)
    return VARIANCE * np.exp(-distances / LENGTH)


def _simulated() -> np.ndarray:
    """Counts on the finest grid, `(32, 32)`."""
    rng = np.random.default_rng(0)
    noise = np.linalg.cholesky(_covariance(FINEST)) @ rng.normal(size=FINEST**2)
    intensity = np.exp(np.log(NUM_EXPECTED) - VARIANCE / 2 + noise)
    return rng.poisson(intensity / FINEST**2).reshape(FINEST, FINEST)
