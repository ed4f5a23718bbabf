"""Time of an update with sampled steps, at T = 1000 over T = 100."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks import roll
from benchmarks.measurement import Measurement, median_ratio, seconds
from dpm_ppl import DiffusionELBO, training

UPDATES_PER_TURN = 20
NUM_TURNS = 24


def measure() -> list[Measurement]:
    long, short = _updates(1000), _updates(100)
    turns = [(seconds(long) / UPDATES_PER_TURN, seconds(short) / UPDATES_PER_TURN) for _ in range(NUM_TURNS)]
    above, below = (list(times) for times in zip(*turns, strict=True))
    return [median_ratio("sampled-step update, T = 1000 over 100", above, below, 1.3)]


def _updates(num_steps: int) -> Callable[[], training.TrainingState]:
    """A compiled run of updates, each call going on from the last."""
    svi = roll.svi(roll.diffusion(num_steps), DiffusionELBO(num_sampled_steps=roll.NUM_SAMPLED_STEPS))
    batch = jnp.asarray(roll.points(roll.BATCH_SIZE))
    state = training.init(svi, jax.random.key(0), batch)

    @jax.jit
    def run(state: training.TrainingState) -> training.TrainingState:
        return jax.lax.fori_loop(0, UPDATES_PER_TURN, lambda _, state: training.step(svi, state, batch)[0], state)

    def go_on() -> training.TrainingState:
        nonlocal state
        state = run(state)
        return state

    jax.block_until_ready(go_on())
    return go_on
