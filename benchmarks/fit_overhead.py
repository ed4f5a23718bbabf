"""Time per update of `fit` over that of the loop written by hand, for the same estimator."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import SVI

from benchmarks import by_hand, roll
from benchmarks.measurement import Measurement, median_ratio, seconds
from dpm_ppl import Diffusion, DiffusionELBO, estimate
from dpm_ppl.experiments import declare
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.training.loop import fit

NUM_STEPS = 1000
AVERAGING = 0.999
NUM_WARM_UP = 3
"""Periods left out: `fit` compiles in the first, and finds the length of its chunks in those after it."""


class Sizes(NamedTuple):
    """Of an update; turns of `fit` and of the loop, updates in each; draws of either estimator that are compared."""

    batch_size: int
    num_sampled_steps: int
    num_periods: int
    num_updates: int
    num_keys: int


def measure() -> list[Measurement]:
    digits = declare(EXPERIMENTS, "digits", {})
    train = digits.task.train
    images = train.draw(train.rows(np.arange(train.num_points)), jax.random.key(3))
    return [
        _overhead("roll", roll.diffusion(NUM_STEPS), roll.points(50_000), Sizes(512, 2, 40, 50, 400), 1.10),
        _overhead("digits", digits.recipe.method.chain, np.asarray(images), Sizes(125, 4, 5, 48, 50), 1.05),
    ]


def _overhead(name: str, diffusion: Diffusion, values: np.ndarray, sizes: Sizes, target: float) -> Measurement:
    svi = roll.svi(diffusion, DiffusionELBO(num_sampled_steps=sizes.num_sampled_steps))
    loop_turn = _loop_turn(diffusion, values, sizes)
    by_fit, by_loop = [], []
    began = time.perf_counter()

    # `fit` calls this after each of its periods, so the loop's turn comes under the same load of the machine.
    def between_periods(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal began
        by_fit.append((time.perf_counter() - began) / sizes.num_updates)
        by_loop.append(seconds(loop_turn) / sizes.num_updates)
        began = time.perf_counter()
        return {}

    trained = fit(
        svi,
        values,
        num_updates=(NUM_WARM_UP + sizes.num_periods) * sizes.num_updates,
        batch_size=sizes.batch_size,
        key=jax.random.key(0),
        averaging=AVERAGING,
        evaluate=between_periods,
        evaluate_every=sizes.num_updates,
        progress=False,
    )
    few = jnp.asarray(values[: sizes.batch_size])
    _check_same_estimator(svi, diffusion.with_params(trained.params), few, sizes)
    label = f"fit, time per update over a loop by hand, {name}"
    return median_ratio(label, by_fit[NUM_WARM_UP:], by_loop[NUM_WARM_UP:], target)


def _loop_turn(diffusion: Diffusion, values: np.ndarray, sizes: Sizes) -> Callable[[], jax.Array]:
    """As many updates by hand as `fit` makes in a period; each call goes on from the last."""
    run = by_hand.training_loop(
        diffusion.network,
        diffusion.steps,
        roll.optimiser(),
        num_sampled_steps=sizes.num_sampled_steps,
        averaging=AVERAGING,
    )
    state = by_hand.initial_state(diffusion.network, roll.optimiser(), jax.random.key(1))
    resident = jnp.asarray(values)
    generator = np.random.default_rng(1)

    def turn() -> jax.Array:
        nonlocal state
        rows = generator.integers(len(values), size=(sizes.num_updates, sizes.batch_size))
        state, losses = run(state, resident, rows)
        return losses

    return turn


def _check_same_estimator(svi: SVI, diffusion: Diffusion, x_0: jax.Array, sizes: Sizes) -> None:
    """Over many keys, the two losses must have the same mean and the same spread, within what chance allows."""

    def by_objective(key: jax.Array) -> jax.Array:
        return svi.loss.loss(key, {"diffusion$params": diffusion}, svi.model, svi.guide, x_0)

    def by_formula(key: jax.Array) -> jax.Array:
        return by_hand.negative_bound(diffusion.network, diffusion.steps, x_0, key, sizes.num_sampled_steps)

    keys = jax.random.split(jax.random.key(2), 2 * sizes.num_keys)
    objective = estimate(jax.jit(lambda keys: jax.lax.map(by_objective, keys))(keys[: sizes.num_keys]))
    formula = estimate(jax.jit(lambda keys: jax.lax.map(by_formula, keys))(keys[sizes.num_keys :]))
    apart = abs(objective.mean - formula.mean) / np.hypot(objective.se, formula.se)
    spread = 4 / np.sqrt(sizes.num_keys)  # of the logarithm of the ratio, several standard errors of it
    if not (apart < 4 and abs(np.log(objective.se / formula.se)) < spread):
        raise RuntimeError(f"the two loops do not have the same estimator: {objective} and {formula} nats per batch")
