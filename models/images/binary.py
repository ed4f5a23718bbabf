"""MNIST in bits, drawn from the greys: the data on which autoencoders report their nats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import log
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

import dpm_ppl as dpm
from dpm_ppl.experiments.options import option
from dpm_ppl.models._options import ZooOptions
from dpm_ppl.models._parts import EDGE, NUM_STEPS, VARIANT, Edge, adam, chosen, network_key
from dpm_ppl.models.images._options import DATA_FOLDER, NUM_LEVELS, NUM_VALIDATED, published, sampled_steps, unet

PUBLISHED_NATS = {
    "Burda, Grosse and Salakhutdinov (2016), IWAE": -82.90,
    "Kingma et al. (2016), IAF-VAE": -79.10,
    "Chen et al. (2017), VLAE": -78.53,
}
"""Test log-likelihoods on dynamically binarised MNIST; of the first two a lower bound by importance weights."""


@dataclass(frozen=True, kw_only=True)
class MnistBinary(ZooOptions):
    """Binomial diffusion of MNIST in bits, which every batch draws afresh from the greys.

    Those held out, and those that choose parameters, are drawn once, by the seed. The paper did not fit these data; its
    variant has the parts of its other runs: dense layers, bump readouts of time, and the rate of a bit as the output.
    """

    name: ClassVar[str] = "mnist-binary"

    variant: Literal["default", "paper"] = option("default", VARIANT, of_diffusion=True)
    edge: Edge = option("fixed", EDGE, of_diffusion=True)
    num_steps: int = option(1000, NUM_STEPS, of_diffusion=True)
    pi: float = option(0.5, "Stationary rate of the bits.", of_diffusion=True)
    data_folder: str | Path | None = option(None, DATA_FOLDER)

    def task(self, seed: int) -> dpm.experiments.Task:
        from dpm_ppl.data import binarised
        from dpm_ppl.data.sources import mnist

        shades = published(mnist(self.data_folder))
        random = np.random.default_rng([seed, 1])
        heldout, validation, train = (dpm.Dataset.from_binary(_bits(part, random)) for part in reversed(shades))
        return dpm.experiments.Task(
            train=train,
            redrawn=binarised(shades[0], NUM_LEVELS),
            validation=validation,
            num_validated=NUM_VALIDATED,
            num_sampled_steps=sampled_steps(train),
            heldout=heldout,
            datum="image",
            references=tuple(
                dpm.experiments.Reference(f"{name}, {nats:.2f} nats", nats / log(2), "bits/image")
                for name, nats in PUBLISHED_NATS.items()
            ),
            num_draws=1,
            picture="samples",
        )

    def diffusion(self, task: dpm.experiments.Task, seed: int) -> dpm.experiments.Recipe:
        build = chosen("variant", self.variant, {"default": _today, "paper": _paper})
        return dpm.experiments.Recipe(
            method=build(task.train.event_shape, self.pi, self.edge, self.num_steps, seed),
            objective=dpm.DiffusionELBO(num_sampled_steps=4),
            optimiser=partial(adam, learning_rate=1e-3),
            num_updates=10_000,
            batch_size=min(128, task.train.num_points),
        )


def _bits(shades: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return (random.random(shades.shape, np.float32) * (NUM_LEVELS - 1) < shades).astype(np.uint8)


def _today(shape: tuple[int, ...], pi: float, edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    network = unet(shape, 1, num_steps, seed)
    return dpm.Diffusion(dpm.BernoulliKernel(pi, dpm.clean_rate), dpm.Erasure(num_steps), network, shape, edge)


def _paper(shape: tuple[int, ...], pi: float, edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    network = dpm.networks.BumpMLP(shape, 1, num_steps, key=network_key(seed))
    kernel = dpm.BernoulliKernel(pi, dpm.kernels.direct_rate)
    return dpm.Diffusion(kernel, dpm.Erasure(num_steps), network, shape, edge)
