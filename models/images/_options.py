"""What experiments on 8-bit images have in common: a task of three parts in one scale, and a diffusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

import dpm_ppl as dpm
from dpm_ppl.experiments.options import check_range, flag, option
from dpm_ppl.models import own_data
from dpm_ppl.models._options import ZooOptions
from dpm_ppl.models._parts import EDGE, NUM_STEPS, VARIANT, Edge, adam, chosen, network_key

Flips = Literal["none", "horizontal"]
NUM_LEVELS = 256
FLIPS = "How training mirrors images at random."
DATA_FOLDER = "Folder with the files of the data; they are downloaded if not given."
MOST_CORRELATED = 1_000
"""Coordinates up to which the network starts as the best one for a Gaussian of the data's covariance."""
NUM_VALIDATED = 200
"""Images by which parameters are chosen."""
SAMPLED_STEPS, MOST_SCORED = 25, 200
"""Of the T steps of each image, which K is estimated from where it has more coordinates than so many."""
MOST_PATCH = 256
NUM_OTHER_PATCHES = 1_000, 2_000
"""Patches that choose parameters, and that are held out."""
LEAST_FREQUENT = 0.25
"""Share of all pixels that have one of the frequent levels, from which on the network knows these."""
VALIDATION_SHARE = 6
"""One in so many of the published training images, the last ones, chooses parameters; of MNIST the last 10,000."""


@dataclass(frozen=True, kw_only=True)
class ImageOptions(ZooOptions):
    """The options of an experiment on 8-bit images.

    `paper_steps` and `paper_network` are T and the sizes of the paper's variant: of its network where the paper or its
    code gives them, else those of the code's defaults.
    """

    paper_steps: ClassVar[int] = 1000
    paper_network: ClassVar[Mapping[str, Any]] = {}

    variant: Literal["default", "paper"] = option("default", VARIANT, of_diffusion=True)
    edge: Edge = option("fixed", EDGE, of_diffusion=True)
    num_steps: int | None = option(None, f"{NUM_STEPS}; 1,000 or the paper's if not given.", of_diffusion=True)

    def filled(self, task: dpm.experiments.Task) -> ImageOptions:
        steps = {"default": 1000, "paper": self.paper_steps}
        return self if self.num_steps is not None else replace(self, num_steps=chosen("variant", self.variant, steps))

    def diffusion(self, task: dpm.experiments.Task, seed: int) -> dpm.experiments.Recipe:
        paper = partial(_paper, sizes=self.paper_network)
        build = chosen("variant", self.variant, {"default": _today, "paper": paper})
        # At 28 x 28 pixels about twenty minutes on two cores.
        return dpm.experiments.Recipe(
            method=build(task.train, self.edge, self.num_steps, seed),
            objective=dpm.DiffusionELBO(num_sampled_steps=2),
            optimiser=partial(adam, learning_rate=2e-3),
            num_updates=3_500,
            batch_size=min(64, task.train.num_points),
        )


@dataclass(frozen=True, kw_only=True)
class PatchOptions(ImageOptions):
    """The options of an experiment on square patches, of which there are as many as one asks for."""

    patch: int = option(16, "Pixels along a side of a patch.")
    num_train: int = option(20_000, "Patches to train on.")

    def numbers(self) -> tuple[int, int, int]:
        """Patches to train on, to choose parameters by and to hold out.

        **Raises:** `InputError` for sizes and numbers out of range.
        """
        check_range(flag("patch"), self.patch, 2, MOST_PATCH)
        check_range(flag("num_train"), self.num_train, 2)
        return self.num_train, *NUM_OTHER_PATCHES


def image_task(parts: Sequence[np.ndarray], flips: Flips = "none") -> dpm.experiments.Task:
    """The task of 8-bit images to train on, to choose parameters by and to hold out, all in the scale of the first.

    That is one mean and one variance for all pixels and colours. `flips` says how training mirrors images at random.
    """
    from dpm_ppl.data import flipped

    train, *others = parts
    known = dpm.Dataset.from_levels(train, NUM_LEVELS, pooled_mean=True, resident=_fits(train))
    validation, heldout = (dpm.Dataset.from_levels(part, NUM_LEVELS, reference=known) for part in others)
    return dpm.experiments.Task(
        train=known,
        redrawn=chosen("flips", flips, {"none": lambda _: None, "horizontal": flipped})(known),
        validation=validation,
        num_validated=NUM_VALIDATED,
        num_sampled_steps=sampled_steps(known),
        heldout=heldout,
        datum="image",
        gaussian=None if _is_large(known) else own_data.gaussian_log_density(*_moments(known)),
        num_draws=1,
        picture="samples",
    )


def published(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Published training and test images in three parts: the last of the training images choose parameters."""
    train, test = images
    num_train = len(train) - max(1, len(train) // VALIDATION_SHARE)
    return train[:num_train], train[num_train:], test


def _today(train: dpm.Dataset, edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    schedule = own_data.log_snr_schedule(num_steps, own_data.first_rate(train))
    network, kernel = _network(train, num_steps, seed), dpm.GaussianKernel(dpm.noise_prediction)
    return dpm.Diffusion(kernel, schedule, network, train.event_shape, edge)


def _network(train: dpm.Dataset, num_steps: int, seed: int) -> dpm.networks.AbstractNetwork:
    """A U-Net inside what is known of the data: levels that are frequent, or else their mean and covariance."""
    from dpm_ppl.models.methods._parts import some_data

    pixels, units = some_data(train), train.units
    spikes = dpm.networks.frequent_levels(pixels)
    are_frequent = np.isin(pixels, spikes).mean() > LEAST_FREQUENT
    inner = unet(train.event_shape, len(spikes) + 3 if are_frequent else 2, num_steps, seed)
    if are_frequent:
        shift, scale = float(units.shift), float(units.scale)
        return dpm.networks.spike_slab_network(inner, pixels, spikes, shift=shift, scale=scale)
    return inner if _is_large(train) else dpm.gaussian_network(inner, *_moments(train))


def unet(shape: tuple[int, ...], num_outputs: int, num_steps: int, seed: int) -> dpm.networks.UNet:
    """Small enough for a CPU: of images above 16 pixels it sees squares of 2 x 2 as one."""
    return dpm.networks.UNet(
        shape,
        num_outputs,
        num_steps,
        channels=(24, 48),
        num_blocks=1,
        patch=2 if max(shape[:2]) > 16 else 1,
        fourier_frequencies=(2.0, 8.0, 32.0, 128.0),
        key=network_key(seed),
    )


def _paper(train: dpm.Dataset, edge: Edge, num_steps: int, seed: int, sizes: Mapping[str, Any]) -> dpm.Diffusion:
    network = dpm.networks.MultiScaleNetwork(train.event_shape, 2, num_steps, **sizes, key=network_key(seed))
    # The paper's 1/(T - t + 1), but for beta_1, which it leaves open: 1e-5 lies below the variance within a level.
    schedule = dpm.Erasure(num_steps, beta_1=1e-5)
    return dpm.Diffusion(dpm.GaussianKernel(dpm.kernels.perturbation), schedule, network, train.event_shape, edge)


def _moments(train: dpm.Dataset) -> tuple[np.ndarray, np.ndarray]:
    from dpm_ppl.models.methods._parts import some_data
    from dpm_ppl.models.methods.gaussian import moments

    return moments(some_data(train), train.units)


def sampled_steps(train: dpm.Dataset) -> int | None:
    """How many steps of each image K is estimated from; None for all, where the images are small."""
    return SAMPLED_STEPS if train.units.num_coordinates > MOST_SCORED else None


def _is_large(train: dpm.Dataset) -> bool:
    return train.units.num_coordinates > MOST_CORRELATED


def _fits(images: np.ndarray) -> bool:
    """Whether standardised images, four times as large, are to be held as a whole beside those given."""
    from dpm_ppl.data.rows import RESIDENT_BYTES

    return 4 * images.size <= RESIDENT_BYTES
