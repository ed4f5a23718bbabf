"""Training of image networks on a GPU, in one go of under ten minutes: `python -m benchmarks.gpu_images` prints JSON.

Updates per second, share of the device's peak and memory at the sizes of MNIST and CIFAR-10, and with the files of
MNIST (`--mnist FOLDER`) the held-out code length after a fit of so many minutes. With `--channels 8 8 --minutes 0.5`
it shows on a CPU that it works.
"""

import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from numpyro.infer import SVI

import dpm_ppl as dpm
from dpm_ppl import experiments, training
from dpm_ppl.evaluation import score
from dpm_ppl.models import EXPERIMENTS, _parts
from dpm_ppl.models.images._options import NUM_LEVELS, SAMPLED_STEPS, image_task

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Operations per second on dense bfloat16 matrices, as the maker states them."""
SIZES = {"mnist": (28, 28), "cifar10": (32, 32, 3)}
NUM_STEPS, NUM_TIMED = 1000, 100


@dataclass(frozen=True)
class Options:
    """Speed, memory and accuracy of image networks on this device."""

    mnist: Path | None = None
    """Folder with the files of MNIST; without it nothing is scored."""
    minutes: float = 5.0
    """Of the fit to MNIST."""
    channels: tuple[int, ...] = (64, 128, 128)
    """Of the U-Net, at each resolution."""
    batch_size: int = 128
    """Images in an update."""
    num_scored: int = 10_000
    """Test images that are scored."""


def main(options: Options) -> None:
    device = jax.devices()[0]
    found: dict[str, Any] = {"device": device.device_kind, "jax": jax.__version__}
    rng = np.random.default_rng(0)
    for name, shape in SIZES.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        images = rng.integers(0, NUM_LEVELS, (4 * options.batch_size, *shape), np.uint8)
        found[f"{name}, updates"] = _speed(image_task((images, images, images)).train, options)
    if options.mnist is not None:
        found["mnist, fitted"] = _fitted(options, found["mnist, updates"]["updates per second"])
    print(json.dumps(found, indent=1))


def _diffusion(train: dpm.Dataset, options: Options) -> dpm.Diffusion:
    network = dpm.networks.UNet(
        train.event_shape,
        2,
        NUM_STEPS,
        channels=options.channels,
        fourier_frequencies=(2.0, 8.0, 32.0, 128.0),
        precision="bfloat16" if jax.default_backend() == "gpu" else "float32",
        key=jax.random.key(0),
    )
    return dpm.Diffusion(
        dpm.GaussianKernel(dpm.noise_prediction), dpm.LogSNR(NUM_STEPS, 13.3, -8.0), network, train.event_shape
    )


def _svi(diffusion: dpm.Diffusion, num_updates: int) -> SVI:
    optimiser = _parts.adam(num_updates, learning_rate=5e-4)
    return SVI(diffusion.model, diffusion.guide, optimiser, loss=dpm.DiffusionELBO(num_sampled_steps=1))


def _speed(train: dpm.Dataset, options: Options) -> dict[str, Any]:
    diffusion = _diffusion(train, options)
    svi, ends = _svi(diffusion, 10 * NUM_TIMED), []
    num = NUM_TIMED if jax.default_backend() == "gpu" else 3
    fit = {"num_updates": 4 * num, "batch_size": options.batch_size, "key": jax.random.key(0), "progress": False}
    # The first period compiles.
    dpm.fit(svi, train, **fit, evaluate=lambda _: ends.append(time.perf_counter()) or {}, evaluate_every=num)
    rate = num / float(np.median(np.diff(ends)))
    batch = train.draw(train.rows(np.arange(options.batch_size)), jax.random.key(1))
    state = training.init(svi, jax.random.key(0), batch)
    update: Any = jax.jit(partial(training.step, svi))
    operations = float(update.lower(state, batch).compile().cost_analysis()["flops"])
    device, memory = jax.devices()[0], jax.devices()[0].memory_stats() or {}
    peak = next((peak for name, peak in PEAKS.items() if name in device.device_kind), None)
    return {
        "updates per second": rate,
        "images in an update": options.batch_size,
        "operations per second": rate * operations,
        "share of peak": None if peak is None else rate * operations / peak,
        "memory, GB": memory["peak_bytes_in_use"] / 1e9 if memory else None,
    }


def _fitted(options: Options, updates_per_second: float) -> dict[str, Any]:
    task = experiments.declare(EXPERIMENTS, "mnist", {"data_folder": options.mnist}).task
    num_updates = max(int(0.9 * 60 * options.minutes * updates_per_second), 10)
    diffusion = _diffusion(task.train, options)
    began = time.perf_counter()
    fit = {"num_updates": num_updates, "batch_size": options.batch_size, "key": jax.random.key(0)}
    trained = diffusion.with_params(dpm.fit(_svi(diffusion, num_updates), task.train, **fit).params)
    seconds = time.perf_counter() - began
    heldout = task.scored_on(options.num_scored).heldout
    scores = score(trained, heldout, jax.random.key(2), num_draws=1, num_sampled_steps=SAMPLED_STEPS, progress=True)
    assert scores.bits_per_dim is not None
    return {
        "updates": num_updates,
        "seconds": seconds,
        "bits/dim, at most, dequantised": scores.bits_per_dim.as_json(),
        "test images": scores.num_points,
        "steps of each": SAMPLED_STEPS,
    }


if __name__ == "__main__":
    main(tyro.cli(Options, description=Options.__doc__))
