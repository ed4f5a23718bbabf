"""Peak memory of scores, importance weights and training with networks of five million parameters on 32 x 32 x 3 data.

Nobody says how many data, steps or particles are evaluated side by side: the memory budget does. Each network has a
process of its own, whose peak holds everything, the libraries too.
"""

import multiprocessing
from functools import partial

import equinox as eqx
import jax
import numpy as np

from benchmarks import roll
from benchmarks.measurement import Measurement, peak_so_far
from dpm_ppl import (
    Dataset,
    Diffusion,
    DiffusionELBO,
    GaussianKernel,
    LogSNR,
    TimeMLP,
    noise_prediction,
)
from dpm_ppl._common.memory import budget
from dpm_ppl.evaluation.importance_scores import importance_weights
from dpm_ppl.evaluation.scores import score
from dpm_ppl.networks import UNet
from dpm_ppl.training.loop import fit

SHAPE = 32, 32, 3
NUM_STEPS, NUM_HELDOUT, NUM_POINTS, NUM_PARTICLES, BATCH_SIZE = 50, 16, 16, 2, 64
MOST_GIB = 4


NETWORKS = {
    "a U-Net": partial(UNet, SHAPE, 2, channels=(96, 192)),
    "a perceptron": partial(TimeMLP, SHAPE, 2, width=390, depth=3),
}


def measure() -> list[Measurement]:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(_of_network, (name,)) for name in NETWORKS]


def _of_network(name: str) -> Measurement:
    network = NETWORKS[name](num_steps=NUM_STEPS, key=jax.random.key(0))
    num_params = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array)))
    diffusion = Diffusion(GaussianKernel(noise_prediction), LogSNR(NUM_STEPS, 11.5, -8.0), network, SHAPE)
    images = np.random.default_rng(0).normal(size=(BATCH_SIZE, *SHAPE)).astype(np.float32)
    data, key = Dataset.from_continuous(images), jax.random.key(0)
    begun = peak_so_far()
    score(diffusion, data.part(slice(NUM_HELDOUT)), key, num_draws=1)
    scored = peak_so_far()
    importance_weights(diffusion, data, key, num_particles=NUM_PARTICLES, num_points=NUM_POINTS)
    with_weights = peak_so_far()
    svi = roll.svi(diffusion, DiffusionELBO(num_sampled_steps=4))
    fit(svi, data, num_updates=1, batch_size=BATCH_SIZE, key=key, progress=False)
    peaks = ", ".join(f"{peak / 2**30:.2f}" for peak in (begun, scored, with_weights, peak_so_far()))
    return Measurement(
        f"memory of images, GiB, {name}",
        peak_so_far() / 2**30,
        MOST_GIB,
        f"{num_params:,} parameters, budget {budget() / 2**30:.2f}; at first, scored, with weights, trained: {peaks}",
    )
