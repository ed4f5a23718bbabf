"""Time of sequential Monte Carlo towards an observation over that of as many plain samples, and its memory over T."""

import jax
import jax.numpy as jnp

from benchmarks import roll
from benchmarks.measurement import Measurement, median_ratio, seconds
from dpm_ppl.diffusion.sampling import _draws
from dpm_ppl.posterior.observations import NormalCoordinates
from dpm_ppl.posterior.particles import _run, run
from dpm_ppl.posterior.twists import twist_for
from dpm_ppl.smc import systematic

NUM_PARTICLES, NUM_PAIRS = 1024, 5
STEPS = 100, 1000


def measure() -> list[Measurement]:
    shape = (2,)
    seen = NormalCoordinates(
        value=jnp.ones(shape), variance=jnp.full(shape, 0.1), seen=jnp.array([True, False]), event_shape=shape
    )
    memory = []
    for num_steps in STEPS:
        diffusion = roll.diffusion(num_steps)
        twist = twist_for(diffusion, seen, "variance", exact=False)
        options = NUM_PARTICLES, systematic, 0.5
        compiled = _run.lower(diffusion, twist, seen, jax.random.key(0), *options, NUM_PARTICLES).compile()  # pyright: ignore
        memory.append(compiled.compiled.memory_analysis().temp_size_in_bytes)
    number = jnp.arange(NUM_PARTICLES)

    def conditioned() -> object:
        return run(diffusion, twist, seen, jax.random.key(0), *options)

    def plain() -> object:
        return _draws(diffusion, jax.random.key(0), number, NUM_PARTICLES)

    seconds(conditioned)
    seconds(plain)
    pairs = [(seconds(conditioned), seconds(plain)) for _ in range(NUM_PAIRS)]
    name = f"SMC of {NUM_PARTICLES:,} particles over as many samples"
    ratio = median_ratio(name, [above for above, _ in pairs], [below for _, below in pairs], 1.5)
    detail = f"{memory[1] / 1e6:.1f} MB over {memory[0] / 1e6:.1f} MB"
    steps = f"T = {STEPS[1]:,} over {STEPS[0]}"
    return [ratio, Measurement(f"memory of SMC, {steps}", memory[1] / memory[0], 1.1, detail)]
