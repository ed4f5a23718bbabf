"""Compilations in a second call of each public function, with other data, keys and parameters of the same shapes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import monitoring

from benchmarks import roll
from benchmarks.measurement import Measurement
from dpm_ppl import Dataset, DiffusionELBO, bound, entropy_bounds, sample, sample_path, training
from dpm_ppl.scores import score

NUM_STEPS, NUM_DATA = 20, 64
_COMPILED = "/jax/core/compile/backend_compile_duration"


def measure() -> list[Measurement]:
    return [_second_call(name, call) for name, call in _calls().items()]


def _calls() -> dict[str, Callable[[int], Any]]:
    """Each public function as a call that depends on a number."""
    svi = roll.svi(_diffusion(0), DiffusionELBO(num_sampled_steps=roll.NUM_SAMPLED_STEPS))
    step = jax.jit(partial(training.step, svi))
    states = [training.init(svi, jax.random.key(i), _points(i)) for i in range(2)]
    key = jax.random.key
    return {
        "bound": lambda i: bound(_diffusion(i), _points(i), key(i)),
        "entropy_bounds": lambda i: entropy_bounds(_diffusion(i), _points(i), key(i)),
        "sample": lambda i: sample(_diffusion(i), key(i), NUM_DATA),
        "sample_path": lambda i: sample_path(_diffusion(i), key(i), (NUM_DATA,)),
        "training.init": lambda i: training.init(svi, key(i), _points(i)),
        "training.step": lambda i: step(states[i], _points(i)),
        "fit": lambda i: training.fit(
            svi, _points(i), num_updates=30, batch_size=32, key=key(i), evaluate_every=20, progress=False
        ),
        "score": lambda i: score(_diffusion(i), Dataset.from_continuous(_points(i)), key(i)),
    }


def _diffusion(seed: int):
    return roll.diffusion(NUM_STEPS, width=8, depth=1, seed=seed)


def _points(seed: int) -> jax.Array:
    return jnp.asarray(roll.points(NUM_DATA)) + 0.1 * seed


def _second_call(name: str, call: Callable[[int], Any]) -> Measurement:
    jax.clear_caches()  # what the others have compiled must not hide what this one compiles
    counts = []
    for i in range(2):
        with _count() as programs:
            jax.block_until_ready(call(i))
        counts.append(len(programs))
    # A first call that compiled nothing would mean that nothing was counted.
    figure = float(counts[1]) if counts[0] else float("nan")
    return Measurement(f"compilations, second {name}", figure, 0, f"{counts[0]} in the first call")


@contextmanager
def _count() -> Iterator[list[str]]:
    programs: list[str] = []

    def listener(event: str, duration: float, **_: Any) -> None:
        if event == _COMPILED:
            programs.append(event)

    monitoring.register_event_duration_secs_listener(listener)
    try:
        yield programs
    finally:
        monitoring.unregister_event_duration_listener(listener)
