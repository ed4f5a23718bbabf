"""Peak memory of the bound over all steps, and of its gradient, at T = 4000 over T = 400 with the same chunks.

Counted by the compiler: arguments, result and scratch space of the compiled program, the same in every run.
What grows with T is the result of `bound`, which holds the divergence of every step for every datum.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import roll
from benchmarks.measurement import Measurement
from dpm_ppl import DiffusionELBO, training
from dpm_ppl.diffusion import bounds

NUM_DATA = 1000
STEPS_CHUNK, DATA_CHUNK = 100, 1000
FEW, MANY = 400, 4000


def measure() -> list[Measurement]:
    return [
        _ratio("bound", _of_bound, f"{NUM_DATA} data"),
        _ratio("all-steps update", _of_update, f"batch of {roll.BATCH_SIZE}"),
    ]


def _ratio(what: str, memory_of: Callable[[int], Any], data: str) -> Measurement:
    few, many = memory_of(FEW), memory_of(MANY)
    sizes = [f"{_peak(m) / 1e6:.1f} MB (result {m.output_size_in_bytes / 1e6:.1f})" for m in (many, few)]
    detail = f"{' over '.join(sizes)}; {data}, steps_chunk={STEPS_CHUNK}"
    return Measurement(f"peak memory of {what}, T = {MANY} over {FEW}", _peak(many) / _peak(few), 1.2, detail)


def _peak(memory: Any) -> int:
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return held + memory.temp_size_in_bytes


def _of_bound(num_steps: int) -> Any:
    x_0 = jnp.asarray(roll.points(NUM_DATA))
    # The compiled part of `bound`; what lies before it checks the data.
    lowered = bounds._bound.lower(
        roll.diffusion(num_steps),
        x_0,
        jnp.arange(NUM_DATA),
        jax.random.key(0),
        jnp.arange(1),
        1,
        STEPS_CHUNK,
        DATA_CHUNK,
    )
    return lowered.compile().compiled.memory_analysis()


def _of_update(num_steps: int) -> Any:
    svi = roll.svi(roll.diffusion(num_steps), DiffusionELBO(steps_chunk=STEPS_CHUNK))
    batch = jnp.asarray(roll.points(roll.BATCH_SIZE))
    state = training.init(svi, jax.random.key(0), batch)
    return jax.jit(partial(training.step, svi)).lower(state, batch).compile().memory_analysis()
