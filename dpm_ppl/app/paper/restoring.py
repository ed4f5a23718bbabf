"""Held-out images restored as in the paper: freed of noise (figure 3), and their middle filled in (figure 5)."""

from pathlib import Path

import jax
import numpy as np

from dpm_ppl._common.files import replacing
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.app.pictures import house_style
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.experiments.streams import Stream, key_of
from dpm_ppl.posterior import Twist
from dpm_ppl.posterior.by_coordinate import known_coordinates, noisy_coordinates
from dpm_ppl.posterior.condition import condition_all

CAPTIONS = {
    "denoised": "held-out data, the same with noise of variance 1, and a draw given that (as figure 3)",
    "inpainted": "held-out data, the same with noise for their middle, and a draw given the rest (as figure 5)",
}
NUM_IMAGES = 4
METHOD = Twist(2, covariance="variance")
"""Whose draws are approximate and cost two evaluations of the network a step; other covariances cost hundreds."""


def restored_by(trained: OpenedRun) -> dict[str, Path]:
    """The pictures by name, in the run's directory; those that are there stay, and what is no image has none."""
    data, diffusion = trained.experiment.task.heldout, trained.method.chain
    if data.units.num_pixels is None or diffusion is None or diffusion.kernel.num_levels is not None:
        return {}
    paths = {name: trained.run.pictures / f"{name}.png" for name in CAPTIONS}
    for name, path in paths.items():
        if not path.is_file():
            _draw(path, restored(diffusion, data, name, key_of(trained.run.seed, Stream.RESTORED)))
    return paths


def restored(diffusion: Diffusion, data: Dataset, name: str, key: PRNGKey) -> dict[str, np.ndarray]:
    """The first data, what was observed of them, and a draw given that: each `(datum, *event_shape)`, as given.

    `name` is "denoised" or "inpainted". Noise is of the standardised data; an unseen middle is shown as noise.
    """
    level_key, noise_key, draw_key = jax.random.split(key, 3)
    rows = data.rows(np.arange(min(NUM_IMAGES, data.num_points)))
    z = np.asarray(data.units.dequantise(rows, level_key))
    noise = np.asarray(jax.random.normal(noise_key, z.shape))
    if name == "denoised":
        label = "with noise of variance 1"
        shown = observed = z + noise
        observations = [noisy_coordinates(one, 1.0) for one in observed]
    else:
        label = "without their middle"
        middle = middle_of(data.units.event_shape)
        shown, observed = np.where(middle, noise, z), np.where(middle, np.nan, z)
        observations = [known_coordinates(diffusion, one) for one in observed]
    options = {"method": METHOD, "units": None, "progress": False, "done": None}
    found = condition_all(diffusion, observations, observed, key=draw_key, **options)
    drawn = np.stack([one.draws[0] for one in found])
    images = {"held-out data": z[: len(found)], label: shown[: len(found)], "draws given that": drawn}
    return {label: data.units.as_given(values) for label, values in images.items()}


def middle_of(shape: tuple[int, ...]) -> np.ndarray:
    """Where an image `(height, width)`, or with colours last, has its middle: a third of each side, as in figure 5."""
    middle = np.zeros(shape, bool)
    middle[tuple(slice(round(side / 3), side - round(side / 3)) for side in shape[:2])] = True
    return middle


def _draw(path: Path, images: dict[str, np.ndarray]) -> None:
    from matplotlib import pyplot

    from dpm_ppl.analysis.plots.draws import plot_draws

    with house_style():
        figure = plot_draws(images, backend="matplotlib").viz["figure"].item()
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=150)
    pyplot.close(figure)
