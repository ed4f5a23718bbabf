"""What is to be known of a GPU, in one go of a few minutes: `python -m benchmarks.gpu` prints JSON with its name.

Speed of training, of a posterior and of samples there; and whether its arithmetic gives the figures of the CPU: GPUs
may multiply float32 matrices with fewer digits than float32 has.
"""

import json
import sys
import time
from typing import Any

import jax
import numpy as np

from benchmarks import fit_overhead, posterior_cost, roll
from dpm_ppl import DiffusionELBO, bound, fit

NUM_DATA, NUM_STEPS, NUM_UPDATES = 2048, 1000, 2000


def main() -> None:
    device, cpu = jax.devices()[0], jax.devices("cpu")[0]
    found: dict = {"device": device.device_kind, "jax": jax.__version__, "agreement": _agreement(device, cpu)}
    print(json.dumps(found["agreement"]), file=sys.stderr, flush=True)
    for module in (posterior_cost, fit_overhead):
        found[module.__name__] = [[one.name, one.figure, one.detail] for one in module.measure()]
    print(json.dumps(found, indent=1))


def _agreement(device: Any, cpu: Any) -> dict:
    values = roll.points(NUM_DATA)
    diffusion = roll.diffusion(NUM_STEPS)
    svi = roll.svi(diffusion, DiffusionELBO(num_sampled_steps=2))
    options = {"num_updates": NUM_UPDATES, "batch_size": roll.BATCH_SIZE, "key": jax.random.key(0)}
    began = time.perf_counter()
    trained = diffusion.with_params(fit(svi, values, **options, progress=False).params)
    seconds = time.perf_counter() - began
    figures = {}
    for name, where, precision in (
        ("device", device, None),
        ("device, highest precision", device, "highest"),
        ("cpu", cpu, None),
    ):
        with jax.default_device(where), jax.default_matmul_precision(precision):
            here = jax.device_put(trained, where)
            figures[name] = np.asarray(bound(here, values, jax.random.key(1)).K, np.float64)
    apart = {name: figures[name] - figures["cpu"] for name in figures if name != "cpu"}
    return {
        "seconds of a fit, compilation included": seconds,
        "K, nats": {name: float(figure.mean()) for name, figure in figures.items()},
        "mean difference from the CPU": {name: float(one.mean()) for name, one in apart.items()},
        "largest difference": {name: float(np.abs(one).max()) for name, one in apart.items()},
    }


if __name__ == "__main__":
    main()
