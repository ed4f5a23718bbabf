"""Peak memory of scores, importance weights and training with networks of five million parameters on 3 x 32 x 32 data.

Nobody says how many data, steps or particles are evaluated side by side: the memory budget does. Each network has a
process of its own, whose peak holds everything, the libraries too.
"""

import multiprocessing
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
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
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.networks.temporal import time_features
from dpm_ppl.training.loop import fit

SHAPE = 3, 32, 32
NUM_STEPS, NUM_HELDOUT, NUM_POINTS, NUM_PARTICLES, BATCH_SIZE = 50, 16, 16, 2, 64
MOST_GIB = 4


class Convolutions(AbstractNetwork):
    """256 channels of 32 x 32, which take the memory, pooled to 4 x 4 for layers that have the parameters."""

    layers: list[eqx.nn.Conv2d]
    time: eqx.nn.Linear
    num_steps: int = eqx.field(static=True)

    def __init__(self, num_steps: int, *, key: jax.Array):
        keys = jax.random.split(key, 5)
        shapes = [(3, 256, 1, 1, 0), (256, 560, 3, 1, 1), (560, 560, 3, 2, 1), (560, 1536, 1, 1, 0)]
        self.layers = [eqx.nn.Conv2d(*shape, key=key) for shape, key in zip(shapes, keys[1:], strict=True)]
        self.time = eqx.nn.Linear(34, 256, key=keys[0])
        self.num_steps = num_steps

    def __call__(self, x_t, step):
        first, *others = self.layers
        wide = first(x_t) + self.time(time_features(step, self.num_steps))[:, None, None]
        hidden = jax.nn.silu(wide).reshape(256, 4, 8, 4, 8).mean(axis=(2, 4))
        for layer in others:
            hidden = layer(jax.nn.silu(hidden))
        blocks = hidden.reshape(2, 3, 16, 16, 2, 2)  # of pixels, one for each place of the last layer
        return jnp.einsum("orijab->raibjo", blocks).reshape(*SHAPE, 2)


NETWORKS = {
    "convolutions": Convolutions,
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
