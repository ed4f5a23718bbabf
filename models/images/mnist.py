"""MNIST, and Fashion-MNIST in the same format: 28 x 28 grey pixels of 256 levels, scored in bits per dimension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import dpm_ppl as dpm
from dpm_ppl.experiments.options import option
from dpm_ppl.models.images._options import DATA_FOLDER, ImageOptions, image_task, published

DENSE_ONLY = {"num_layers": 0, "dense_widths": (500, 500, 500, 500)}
"""The paper's MNIST run has no convolutions; the widths are the code's defaults."""


@dataclass(frozen=True, kw_only=True)
class Mnist(ImageOptions):
    """Gaussian diffusion of MNIST's dequantised digits; the last 10,000 of the 60,000 choose parameters.

    The variant `"paper"` has the parts of the paper's MNIST run: T = 1000, the whole image through dense layers, bump
    readouts of time, and the perturbed forward kernel.
    """

    name: ClassVar[str] = "mnist"
    paper_network: ClassVar[Mapping[str, Any]] = DENSE_ONLY

    data_folder: str | Path | None = option(None, DATA_FOLDER)

    def task(self, seed: int) -> dpm.experiments.Task:
        from dpm_ppl.data.sources import mnist

        return image_task(published(mnist(self.data_folder)))


@dataclass(frozen=True, kw_only=True)
class Fashion(ImageOptions):
    """Gaussian diffusion of Fashion-MNIST's dequantised pictures of clothes, all else as for `mnist`."""

    name: ClassVar[str] = "fashion"
    paper_network: ClassVar[Mapping[str, Any]] = DENSE_ONLY

    data_folder: str | Path | None = option(None, DATA_FOLDER)

    def task(self, seed: int) -> dpm.experiments.Task:
        from dpm_ppl.data.sources import fashion_mnist

        return image_task(published(fashion_mnist(self.data_folder)))
