"""Time per update of `fit` over that of the loop written by hand."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import by_hand, roll
from benchmarks.measurement import Measurement, median_ratio, seconds
from dpm_ppl import DiffusionELBO
from dpm_ppl.training import fit

NUM_STEPS = 1000
UPDATES_PER_PERIOD = 50
NUM_PERIODS = 24
NUM_WARM_UP = 3
"""Periods left out: `fit` compiles in the first, and finds the length of its chunks in those after it."""
AVERAGING = 0.999


def measure() -> list[Measurement]:
    values = roll.points(50_000)
    diffusion = roll.diffusion(NUM_STEPS)
    settings: dict[str, Any] = {"num_sampled_steps": roll.NUM_SAMPLED_STEPS, "averaging": AVERAGING}
    run = by_hand.training_loop(diffusion.network, diffusion.steps, roll.optimiser(), **settings)
    state = by_hand.initial_state(diffusion.network, roll.optimiser(), jax.random.key(1))
    resident = jnp.asarray(values)
    generator = np.random.default_rng(1)

    def update_by_hand() -> jax.Array:
        nonlocal state
        rows = generator.permutation(len(values))[: UPDATES_PER_PERIOD * roll.BATCH_SIZE]
        rows = rows.reshape(UPDATES_PER_PERIOD, roll.BATCH_SIZE)
        state, losses = run(state, resident, rows)
        return losses

    by_fit, by_loop = [], []
    began = time.perf_counter()

    # `fit` calls this between two of its periods, so that the loop's turn comes right after that of `fit`.
    def other_turn(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal began
        by_fit.append((time.perf_counter() - began) / UPDATES_PER_PERIOD)
        by_loop.append(seconds(update_by_hand) / UPDATES_PER_PERIOD)
        began = time.perf_counter()
        return {}

    fit(
        roll.svi(diffusion, DiffusionELBO(num_sampled_steps=roll.NUM_SAMPLED_STEPS)),
        values,
        num_updates=(NUM_WARM_UP + NUM_PERIODS) * UPDATES_PER_PERIOD,
        batch_size=roll.BATCH_SIZE,
        key=jax.random.key(0),
        averaging=AVERAGING,
        evaluate=other_turn,
        evaluate_every=UPDATES_PER_PERIOD,
        progress=False,
    )
    name = "fit, time per update over a loop by hand"
    return [median_ratio(name, by_fit[NUM_WARM_UP:], by_loop[NUM_WARM_UP:], 1.10, f"at T = {NUM_STEPS}")]
