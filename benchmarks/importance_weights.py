"""Importance-weighted log-likelihoods: memory and time as particles are added, and time over the network's own.

Memory is the most that a process of its own held. The network alone is evaluated in batches of the shape that the
estimator uses; what the estimator adds is the forward chain's noise, the densities, and all sums over the weights.
"""

import json
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks import roll
from benchmarks.measurement import Measurement, median_ratio, peak_so_far, seconds
from dpm_ppl import Diffusion
from dpm_ppl.likelihood import log_likelihood

FEW, MANY = 1_000, 100_000
NUM_DATA, PARTICLES_CHUNK, STEPS_CHUNK = 16, 64, 20
MEMORY_DATA = 64
"""Enough for their log-weights to stand out, were they kept."""
NUM_STEPS, NUM_PAIRS = 1000, 7


def measure() -> list[Measurement]:
    return [*_memory(), _time_per_particle(), _over_the_network()]


def _memory() -> list[Measurement]:
    few, many, kept, long = (
        _peak_of_a_process(*how)
        for how in ((FEW, STEPS_CHUNK), (MANY, STEPS_CHUNK), (MANY, STEPS_CHUNK, "keep"), (FEW, 50 * STEPS_CHUNK))
    )
    with_weights = f"{kept / 1e6:.0f} MB where the weights are kept"
    detail = f"{many / 1e6:.0f} MB over {few / 1e6:.0f} MB; {with_weights}; {MEMORY_DATA} data"
    steps = f"{long / 1e6:.0f} MB over {few / 1e6:.0f} MB"
    return [
        Measurement(f"peak memory, {MANY:,} particles over {FEW:,}", many / few, 1.1, detail),
        Measurement(f"peak memory, T = {50 * STEPS_CHUNK:,} over {STEPS_CHUNK}", long / few, 1.1, steps),
    ]


def _peak_of_a_process(*how: int | str) -> int:
    command = [sys.executable, "-m", "benchmarks.importance_weights", *map(str, how)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _time_per_particle() -> Measurement:
    diffusion = _small()
    _estimate(diffusion, 2 * PARTICLES_CHUNK)
    long, short = [], []
    for _ in range(NUM_PAIRS):
        long.append(seconds(lambda: _estimate(diffusion, 10 * FEW)) / (10 * FEW))
        short.append(seconds(lambda: _estimate(diffusion, FEW)) / FEW)
    return median_ratio(f"time per particle, {10 * FEW:,} particles over {FEW:,}", long, short, 1.1)


def _over_the_network() -> Measurement:
    diffusion = roll.diffusion(NUM_STEPS)
    batch = (STEPS_CHUNK, NUM_DATA * PARTICLES_CHUNK)
    x_t = jax.random.normal(jax.random.key(0), (*batch, 2))

    @eqx.filter_jit
    def network(diffusion: Diffusion, x_t: jax.Array, first: jax.Array):
        steps = diffusion.steps[first + jnp.arange(STEPS_CHUNK)]
        return jax.vmap(lambda x, step: jax.vmap(diffusion.network, in_axes=(0, None))(x, step))(x_t, steps)

    def alone() -> None:
        for first in range(0, NUM_STEPS, STEPS_CHUNK):
            network(diffusion, x_t, jnp.asarray(first)).block_until_ready()

    alone()
    _estimate(diffusion, PARTICLES_CHUNK)
    whole, evaluations = [], []
    for _ in range(NUM_PAIRS):
        whole.append(seconds(lambda: _estimate(diffusion, PARTICLES_CHUNK)))
        evaluations.append(seconds(alone))
    name = f"log-likelihood over its network evaluations alone, T = {NUM_STEPS}"
    return median_ratio(name, whole, evaluations, 1.3)


def _small(num_steps: int = STEPS_CHUNK) -> Diffusion:
    return roll.diffusion(num_steps, width=8, depth=1)


def _estimate(diffusion: Diffusion, num_particles: int, num_data: int = NUM_DATA, *, keep: bool = False) -> None:
    options = {"particles_chunk": PARTICLES_CHUNK, "data_chunk": NUM_DATA, "steps_chunk": STEPS_CHUNK}
    options |= {"keep_log_weights": keep}
    log_likelihood(diffusion, roll.points(num_data), jax.random.key(0), num_particles, **options)


if __name__ == "__main__":
    _estimate(_small(int(sys.argv[2])), int(sys.argv[1]), MEMORY_DATA, keep="keep" in sys.argv)
    print(peak_so_far())
