"""CIFAR-10: 32 x 32 pixels in three colours of 256 levels, scored in bits per dimension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import dpm_ppl as dpm
from dpm_ppl.experiments.options import option
from dpm_ppl.models.images._options import DATA_FOLDER, FLIPS, Flips, ImageOptions, image_task, published


@dataclass(frozen=True, kw_only=True)
class Cifar10(ImageOptions):
    """Gaussian diffusion of CIFAR-10's dequantised photographs; the last 8,333 of the 50,000 choose parameters.

    Training mirrors images at random. The variant `"paper"` has T = 1000, the network of the run in its released
    code (multi-scale convolutions, dense layers beside them, bump readouts of time), and the perturbed forward kernel.
    """

    name: ClassVar[str] = "cifar10"
    paper_network: ClassVar[Mapping[str, Any]] = {
        "num_layers": 6,
        "channels": 100,
        "dense_widths": (1000,) * 6,
        "dense_features": 5,
        "pixel_widths": (100,) * 4,
    }

    data_folder: str | Path | None = option(None, DATA_FOLDER)
    flips: Flips = option("horizontal", FLIPS)

    def task(self, seed: int) -> dpm.experiments.Task:
        from dpm_ppl.data.sources import cifar10

        return image_task(published(cifar10(self.data_folder)), self.flips)
