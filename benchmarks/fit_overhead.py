"""Time per update of `fit` over that of the loop written by hand, for the same estimator."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import SVI

from benchmarks import by_hand, roll
from benchmarks.measurement import Measurement, median_ratio, seconds
from dpm_ppl import Diffusion, DiffusionELBO, estimate
from dpm_ppl.training.loop import fit

NUM_STEPS = 1000
AVERAGING = 0.999
UPDATES_PER_PERIOD = 50
NUM_PERIODS = 40
NUM_WARM_UP = 3
"""Periods left out: `fit` compiles in the first, and finds the length of its chunks in those after it."""
NUM_KEYS = 400
"""Draws of either estimator that are compared."""


def measure() -> list[Measurement]:
    values = roll.points(50_000)
    diffusion = roll.diffusion(NUM_STEPS)
    svi = roll.svi(diffusion, DiffusionELBO(num_sampled_steps=roll.NUM_SAMPLED_STEPS))
    loop_turn = _loop_turn(diffusion, values)
    by_fit, by_loop = [], []
    began = time.perf_counter()

    # `fit` calls this after each of its periods, so the loop's turn comes under the same load of the machine.
    def between_periods(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal began
        by_fit.append((time.perf_counter() - began) / UPDATES_PER_PERIOD)
        by_loop.append(seconds(loop_turn) / UPDATES_PER_PERIOD)
        began = time.perf_counter()
        return {}

    trained = fit(
        svi,
        values,
        num_updates=(NUM_WARM_UP + NUM_PERIODS) * UPDATES_PER_PERIOD,
        batch_size=roll.BATCH_SIZE,
        key=jax.random.key(0),
        averaging=AVERAGING,
        evaluate=between_periods,
        evaluate_every=UPDATES_PER_PERIOD,
        progress=False,
    )
    _check_same_estimator(svi, diffusion.with_params(trained.params), jnp.asarray(values[: roll.BATCH_SIZE]))
    name = "fit, time per update over a loop by hand"
    return [median_ratio(name, by_fit[NUM_WARM_UP:], by_loop[NUM_WARM_UP:], 1.10)]


def _loop_turn(diffusion: Diffusion, values: np.ndarray):
    """As many updates by hand as `fit` makes in a period; each call goes on from the last."""
    run = by_hand.training_loop(
        diffusion.network,
        diffusion.steps,
        roll.optimiser(),
        num_sampled_steps=roll.NUM_SAMPLED_STEPS,
        averaging=AVERAGING,
    )
    state = by_hand.initial_state(diffusion.network, roll.optimiser(), jax.random.key(1))
    resident = jnp.asarray(values)
    generator = np.random.default_rng(1)

    def turn() -> jax.Array:
        nonlocal state
        rows = generator.permutation(len(values))[: UPDATES_PER_PERIOD * roll.BATCH_SIZE]
        state, losses = run(state, resident, rows.reshape(UPDATES_PER_PERIOD, roll.BATCH_SIZE))
        return losses

    return turn


def _check_same_estimator(svi: SVI, diffusion: Diffusion, x_0: jax.Array) -> None:
    """Over many keys, the two losses must have the same mean and, within a quarter, the same spread."""

    def by_objective(key: jax.Array) -> jax.Array:
        return svi.loss.loss(key, {"diffusion$params": diffusion}, svi.model, svi.guide, x_0)

    def by_formula(key: jax.Array) -> jax.Array:
        return by_hand.negative_bound(diffusion.network, diffusion.steps, x_0, key, roll.NUM_SAMPLED_STEPS)

    keys = jax.random.split(jax.random.key(2), 2 * NUM_KEYS)
    objective = estimate(jax.jit(lambda keys: jax.lax.map(by_objective, keys))(keys[:NUM_KEYS]))
    formula = estimate(jax.jit(lambda keys: jax.lax.map(by_formula, keys))(keys[NUM_KEYS:]))
    apart = abs(objective.mean - formula.mean) / np.hypot(objective.se, formula.se)
    if not (apart < 4 and 0.8 < objective.se / formula.se < 1.25):
        raise RuntimeError(f"the two loops do not have the same estimator: {objective} and {formula} nats per batch")
