"""Compilations in a second call of each public function, with other data, keys and parameters.

They are of the same shapes, but for what scores data or draws them: there the second call has fewer data.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import roll
from benchmarks.measurement import Measurement, compiled_programs
from dpm_ppl import Dataset, DiffusionELBO, bound, evaluation, log_likelihood, sample, training
from dpm_ppl.diffusion import entropy_bounds, sample_path
from dpm_ppl.evaluation.scores import score

NUM_STEPS, NUM_DATA = 20, 64


def measure() -> list[Measurement]:
    return [_second_call(name, call) for name, call in _calls().items()]


def _calls() -> dict[str, Callable[[int], Any]]:
    """Each public function, called on the first or the second of two sets of arguments."""
    diffusions = [roll.diffusion(NUM_STEPS, width=8, depth=1, seed=i) for i in range(2)]
    points = [jnp.asarray(roll.points(NUM_DATA)) + 0.1 * i for i in range(2)]
    numbers = [NUM_DATA, NUM_DATA - 15]
    fewer = [np.asarray(values)[:num] for values, num in zip(points, numbers, strict=True)]
    levels = [np.clip(2 + values.round(), 0, 4) for values in fewer]
    keys = [jax.random.key(i) for i in range(2)]
    datasets = [Dataset.from_levels(values, 5) for values in levels]
    svi = roll.svi(diffusions[0], DiffusionELBO(num_sampled_steps=roll.NUM_SAMPLED_STEPS))
    states = [training.init(svi, key, values) for key, values in zip(keys, points, strict=True)]
    step = jax.jit(partial(training.step, svi))
    fit = partial(training.fit, svi, num_updates=30, batch_size=32, evaluate_every=20, progress=False)
    return {
        "bound": lambda i: bound(diffusions[i], fewer[i], keys[i]),
        "entropy_bounds": lambda i: entropy_bounds(diffusions[i], points[i], keys[i]),
        "sample": lambda i: sample(diffusions[i], keys[i], numbers[i]),
        "sample_path": lambda i: sample_path(diffusions[i], keys[i], (NUM_DATA,)),
        "training.init": lambda i: training.init(svi, keys[i], points[i]),
        "training.step": lambda i: step(states[i], points[i]),
        "fit": lambda i: fit(points[i], key=keys[i]),
        "score": lambda i: score(diffusions[i], datasets[i], keys[i]),
        "measure": lambda i: evaluation.measure(diffusions[i], datasets[i], keys[i], num_particles=16, num_points=16),
        "log_likelihood": lambda i: log_likelihood(diffusions[i], fewer[i], keys[i], 16),
    }


def _second_call(name: str, call: Callable[[int], Any]) -> Measurement:
    jax.clear_caches()  # what an earlier function has compiled must not hide what this one compiles
    counts = []
    for i in range(2):
        with compiled_programs() as programs:
            jax.block_until_ready(call(i))
        counts.append(len(programs))
    # A first call that compiles nothing would mean that nothing is counted.
    figure = float(counts[1]) if counts[0] else float("nan")
    return Measurement(f"compilations in a second call of {name}", figure, 0, f"{counts[0]} in the first")
