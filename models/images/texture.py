"""Textures (paper, section 3.2.4, bark): patches of the pictures in a folder of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import dpm_ppl as dpm
from dpm_ppl.experiments.options import option
from dpm_ppl.models.images._options import FLIPS, Flips, PatchOptions, image_task


@dataclass(frozen=True, kw_only=True)
class Texture(PatchOptions):
    """Gaussian diffusion of patches of your own pictures: the left 70 % of each to train on, the right 20 % held out.

    The paper has bark, of pictures T01 to T04 of Lazebnik, Schmid and Ponce (2005), which you may put into the folder.
    The variant `"paper"` has T = 500, multi-scale convolutions, bump readouts of time and the perturbed forward
    kernel.
    """

    name: ClassVar[str] = "texture"
    paper_steps: ClassVar[int] = 500

    data_folder: str | Path | None = option(None, "Folder with your pictures.")
    flips: Flips = option("none", FLIPS)

    def task(self, seed: int) -> dpm.experiments.Task:
        from dpm_ppl.data.sources import patches

        numbers = self.numbers()
        if self.data_folder is None:
            remedy = "name it with --data-folder"
            raise dpm.InputError("data_folder", expected="a folder of pictures", got="none", remedy=remedy)
        return image_task(patches(self.data_folder, self.patch, numbers, seed=seed), self.flips)
