"""Dead leaves (paper, section 3.2.3): patches of discs that hide one another, as like photographs as a law can be."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np

import dpm_ppl as dpm
from dpm_ppl.experiments.options import check_range, flag, option
from dpm_ppl.models.images._options import PatchOptions, image_task


@dataclass(frozen=True, kw_only=True)
class DeadLeaves(PatchOptions):
    """Gaussian diffusion of dead leaves, drawn by the seed: radii with density r^-3, uniform grey levels.

    The paper's own images are not available, so that its figure is for scale alone. The variant `"paper"` has T = 1000,
    multi-scale convolutions, bump readouts of time and the perturbed forward kernel.
    """

    name: ClassVar[str] = "deadleaves"

    least_radius: float = option(1.0, "Radius of the smallest discs, in pixels.")
    most_radius: float = option(64.0, "Radius of the largest discs, in pixels.")

    def task(self, seed: int) -> dpm.experiments.Task:
        from dpm_ppl.data.sources import dead_leaves

        *ends, total = accumulate(self.numbers())
        check_range(flag("least_radius"), self.least_radius, 1e-3, self.most_radius)
        leaves = dead_leaves(total, self.patch, least_radius=self.least_radius, most_radius=self.most_radius, seed=seed)
        return image_task(np.split(leaves, ends))
