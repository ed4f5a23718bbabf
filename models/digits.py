"""Handwritten digits (scikit-learn's: 8 x 8 pixels of 17 levels), scored in bits per dimension."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

import dpm_ppl as dpm
from dpm_ppl.experiments.options import option
from dpm_ppl.models._options import ZooOptions
from dpm_ppl.models._parts import EDGE, NUM_STEPS, VARIANT, Edge, adam, chosen, network_key

NUM_LEVELS, SHAPE = 17, (8, 8)
NUM_HELDOUT, NUM_VALIDATION = 297, 100


@dataclass(frozen=True, kw_only=True)
class Digits(ZooOptions):
    """Diffusion of digits; the seed draws 297 to hold out and 100 to choose parameters by.

    By default it is a Gaussian one of dequantised digits, and a U-Net predicts levels (`LevelNetwork`). The kernel
    `"categorical"` takes the levels as they are: they move to those near them, as `discretised_gaussian` says. The
    variant `"dense"` has dense layers, which know less of images and are fast where many particles are drawn; the
    variant `"paper"` the parts of the paper's MNIST run: T = 1000, the whole image through dense layers, bump readouts
    of time, and the perturbed forward kernel.
    """

    name: ClassVar[str] = "digits"

    variant: Literal["default", "dense", "paper"] = option(
        "default", f'"dense" for a network that is fast, {VARIANT}', of_diffusion=True
    )
    kernel: Literal["gaussian", "categorical"] = option(
        "gaussian", '"gaussian", or "categorical" for levels as they are.', of_diffusion=True
    )
    edge: Edge = option("fixed", EDGE, of_diffusion=True)
    num_steps: int = option(1000, NUM_STEPS, of_diffusion=True)

    def task(self, seed: int) -> dpm.experiments.Task:
        levels = np.random.default_rng([seed, 1]).permutation(_levels())
        heldout, validation, train = np.split(levels, [NUM_HELDOUT, NUM_HELDOUT + NUM_VALIDATION])
        build = partial(dpm.Dataset.from_levels, num_levels=NUM_LEVELS, dequantised=self.kernel == "gaussian")
        known = build(train, pooled_mean=True)
        validation, heldout = (build(part, reference=known) for part in (validation, heldout))
        return dpm.experiments.Task(
            train=known,
            validation=validation,
            num_validated=50,  # ten times; these are enough to tell when K no longer rises
            heldout=heldout,
            datum="image",
            num_draws=1,  # the spread of K between images is far larger than that between draws
            picture="samples",
        )

    def diffusion(self, task: dpm.experiments.Task, seed: int) -> dpm.experiments.Recipe:
        builders = {
            "gaussian": {"default": _today, "dense": partial(_today, inner=_dense), "paper": _paper},
            "categorical": {"default": _categorical, "dense": partial(_categorical, inner=_dense)},
        }
        build = chosen("variant", self.variant, chosen("kernel", self.kernel, builders))
        return dpm.experiments.Recipe(
            method=build(task.train, self.edge, self.num_steps, seed),
            objective=dpm.DiffusionELBO(num_sampled_steps=4),
            optimiser=partial(adam, learning_rate=2e-3 if self.variant == "default" else 1e-3, weight_decay=0.05),
            num_updates={"default": 700, "dense": 400, "paper": 5000}[self.variant],
            batch_size=125,
            averaging=0.99,
        )


def _unet(shape: tuple[int, ...], num_outputs: int, num_steps: int, seed: int) -> dpm.networks.AbstractNetwork:
    options = {"channels": (32, 48), "num_blocks": 1, "num_heads": 4, "key": network_key(seed)}
    return dpm.networks.UNet(shape, num_outputs, num_steps, **options)


def _dense(shape: tuple[int, ...], num_outputs: int, num_steps: int, seed: int) -> dpm.networks.AbstractNetwork:
    return dpm.TimeMLP(shape, num_outputs, num_steps, width=256, depth=3, key=network_key(seed))


def _today(train: dpm.Dataset, edge: Edge, num_steps: int, seed: int, inner: Callable = _unet) -> dpm.Diffusion:
    units, network = train.units, inner(SHAPE, NUM_LEVELS, num_steps, seed)
    network = dpm.level_network(network, train.source, NUM_LEVELS, shift=float(units.shift), scale=float(units.scale))
    schedule = dpm.LogSNR(num_steps, 11.5, -9.0)
    return dpm.Diffusion(dpm.GaussianKernel(dpm.noise_prediction), schedule, network, SHAPE, edge)


def _categorical(train: dpm.Dataset, edge: Edge, num_steps: int, seed: int, inner: Callable = _unet) -> dpm.Diffusion:
    kernel = dpm.CategoricalKernel(dpm.kernels.discretised_gaussian(NUM_LEVELS))
    network = dpm.categorical_network(inner((*SHAPE, NUM_LEVELS), 1, num_steps, seed), train.source, NUM_LEVELS)
    return dpm.Diffusion(kernel, dpm.LogSNR(num_steps, 11.5, -9.0), network, SHAPE, edge)


def _paper(_: dpm.Dataset, edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    network = dpm.networks.BumpMLP(SHAPE, 2, num_steps, key=network_key(seed))
    # The paper's 1/(T - t + 1), but for beta_1, which it leaves open: 1e-4 lies below the variance within a level.
    schedule = dpm.Erasure(num_steps, beta_1=1e-4)
    return dpm.Diffusion(dpm.GaussianKernel(dpm.kernels.perturbation), schedule, network, SHAPE, edge)


def _levels() -> np.ndarray:
    """All 1,797 digits, `(datum, 8, 8)`, levels 0 ... 16."""
    from sklearn.datasets import load_digits  # takes a second to import, and only this function needs it

    pixels, _ = load_digits(return_X_y=True)
    return np.asarray(pixels, np.int64).reshape(-1, *SHAPE)
