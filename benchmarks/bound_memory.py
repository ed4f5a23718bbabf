"""Peak memory of the bound over all steps, and of its gradient, at T = 4000 over T = 400 with the same chunks.

Counted by the compiler: arguments, result and scratch space of the compiled program, exact and the same in every run.
The result of `bound` holds every step's divergence for every datum and is the one part that grows with T.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import roll
from benchmarks.measurement import Measurement
from dpm_ppl import DiffusionELBO, bounds, training

NUM_DATA = 1000
STEPS_CHUNK, DATA_CHUNK = 100, 1000
FEW, MANY = 400, 4000
TARGET = 1.2


def measure() -> list[Measurement]:
    return [
        _ratio("peak memory of bound", _bound, f"{NUM_DATA} data, steps_chunk={STEPS_CHUNK}"),
        _ratio("peak memory of an all-steps update", _update, f"batch {roll.BATCH_SIZE}, steps_chunk={STEPS_CHUNK}"),
    ]


def _ratio(name: str, compiled, setting: str) -> Measurement:
    few, many = _peak(compiled(FEW)), _peak(compiled(MANY))
    detail = f"{many / 1e6:.1f} MB over {few / 1e6:.1f} MB; {setting}"
    return Measurement(f"{name}, T = {MANY} over {FEW}", many / few, TARGET, detail)


def _peak(memory: Any) -> int:
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return held + memory.temp_size_in_bytes


def _bound(num_steps: int) -> Any:
    x_0 = jnp.asarray(roll.points(NUM_DATA))
    # The compiled part of `bound`; what lies before it checks the data.
    lowered = bounds._bound.lower(roll.diffusion(num_steps), x_0, jax.random.key(0), 1, STEPS_CHUNK, DATA_CHUNK)
    return lowered.compile().compiled.memory_analysis()


def _update(num_steps: int) -> Any:
    svi = roll.svi(roll.diffusion(num_steps), DiffusionELBO(steps_chunk=STEPS_CHUNK))
    batch = jnp.asarray(roll.points(roll.BATCH_SIZE))
    state = training.init(svi, jax.random.key(0), batch)
    return jax.jit(partial(training.step, svi)).lower(state, batch).compile().memory_analysis()
