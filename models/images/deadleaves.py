"""Dead leaves (paper, section 3.2.3): patches of discs that hide one another, as like photographs as a law can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import dpm_ppl as dpm
from dpm_ppl.experiments.options import check_range, flag, option
from dpm_ppl.models.images._options import ImageOptions, image_task

NUM_VALIDATION, NUM_HELDOUT = 1_000, 2_000
MOST_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class DeadLeaves(ImageOptions):
    """Gaussian diffusion of dead leaves, drawn by the seed: radii with density r^-3, uniform grey levels.

    The paper's own images are not available, so that its figure is for scale alone. The variant `"paper"` has T = 1000,
    multi-scale convolutions, bump readouts of time and the perturbed forward kernel.
    """

    name: ClassVar[str] = "deadleaves"

    patch: int = option(16, "Pixels along a side of an image.")
    num_train: int = option(20_000, "Images to train on.")
    least_radius: float = option(1.0, "Radius of the smallest discs, in pixels.")
    most_radius: float = option(64.0, "Radius of the largest discs, in pixels.")

    def task(self, seed: int) -> dpm.experiments.Task:
        from dpm_ppl.data.sources import dead_leaves

        check_range(flag("patch"), self.patch, 2, MOST_SIZE)
        check_range(flag("num_train"), self.num_train, 2)
        check_range(flag("least_radius"), self.least_radius, 1e-3, self.most_radius)
        ends = self.num_train, self.num_train + NUM_VALIDATION
        leaves = dead_leaves(
            ends[1] + NUM_HELDOUT,
            self.patch,
            least_radius=self.least_radius,
            most_radius=self.most_radius,
            seed=seed,
        )
        return image_task((leaves[: ends[0]], leaves[ends[0] : ends[1]], leaves[ends[1] :]))
