"""What float32 costs K: `python -m benchmarks.single_precision` prints a table; exit code 1 where it is too much.

A chain that has learned nothing has K = L_null exactly, and is the best chain for data from N(0, 1). The averages over
x_t are taken at two points that make them exact, so any distance is rounding.
"""

import sys
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

import dpm_ppl as dpm
from tests.oracles import AtRest, SigmaPointKernel

NUM_STEPS = (1000, 4000, 10_000)
FIRST_LOG_SNRS = (12.0, 16.1, 18.4)
VALUES = (0.0, 1.0, 3.0)
MOST = 1e-3
"""Nats per coordinate."""


def main() -> int:
    print("| T | log SNR of x_1 | " + " | ".join(f"x_0 = {value:g}" for value in VALUES) + " |")
    print("| ---: " * (2 + len(VALUES)) + "|")
    largest = 0.0
    for num_steps, first in product(NUM_STEPS, FIRST_LOG_SNRS):
        found = gaps(num_steps, first)
        largest = max(largest, float(np.abs(found).max()))
        print(f"| {num_steps:,} | {first:g} | " + " | ".join(f"{gap:.1e}" for gap in found) + " |", flush=True)
    return int(not largest <= MOST)


def gaps(num_steps: int, first: float) -> np.ndarray:
    """K - L_null, nats per coordinate, `(value,)`."""
    kernel, schedule = SigmaPointKernel(dpm.noise_prediction), dpm.LogSNR(num_steps, first, -8.0)
    chain = dpm.Diffusion(kernel, schedule, AtRest(2), ())
    return np.asarray(dpm.bound(chain, jnp.asarray(VALUES), jax.random.key(0), num_draws=2).K_minus_L_null)


if __name__ == "__main__":
    sys.exit(main())
