"""Pictures of what a run has learned, all in one style."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dpm_ppl._common.files import replacing
from dpm_ppl.app import runs
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.experiments import Experiment
from dpm_ppl.experiments.options import DIFFUSION
from dpm_ppl.experiments.streams import Stream, key_of
from dpm_ppl.kernels import BernoulliKernel
from dpm_ppl.methods.base import AbstractMethod

NUM_IMAGES, NUM_SEQUENCES, NUM_VECTORS = 36, 40, 400
"""Draws shown of each method."""
STYLE = (
    "arviz-variat",
    "petroff10",  # colours that colour-blind readers tell apart
    {
        "font.size": 10,
        "axes.labelsize": "medium",
        "axes.titlesize": "medium",
        "axes.titleweight": "normal",
        "figure.titlesize": "large",
        "figure.titleweight": "normal",
        "legend.fontsize": "medium",
        "xtick.labelsize": "small",
        "ytick.labelsize": "small",
    },
)


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """ArviZ's style `variat` in small letters and with Petroff's colours, for figures that go into files."""
    import arviz_plots  # noqa: F401  # knows the style, and takes seconds
    from matplotlib import pyplot, style

    pyplot.switch_backend("agg")  # a file needs no display
    with style.context(list(STYLE)):
        yield


def draw_picture(run: runs.Run, experiment: Experiment, method: AbstractMethod) -> Path:
    """What `picture_of` draws, in the run's directory."""
    from matplotlib import pyplot

    with house_style():
        figure = picture_of(run, experiment, method).viz["figure"].item()
        target = run.pictures / f"{experiment.task.picture}.png"
        run.pictures.mkdir(exist_ok=True)
        with replacing(target) as file:
            figure.savefig(file, format="png", dpi=150)
    pyplot.close(figure)
    return target


def picture_of(run: runs.Run, experiment: Experiment, method: AbstractMethod) -> Any:
    """The chain at a few times, as `chain_picture` has it, or what was drawn beside held-out data.

    Returns a Matplotlib `PlotCollection`.
    """
    chain = chain_picture(run, experiment, method)
    return (
        draws_picture({f"draws of the {run.options.get('method', DIFFUSION)}": (run, method)}, experiment.task.heldout)
        if chain is None
        else chain
    )


def chain_picture(run: runs.Run, experiment: Experiment, method: AbstractMethod) -> Any:
    """The paper's figure 1 for a diffusion of the plane, its figure 2 for one of sequences of bits, None for others."""
    from dpm_ppl.analysis.plots.raster import plot_figure_two
    from dpm_ppl.analysis.plots.slices import plot_figure_one

    diffusion = method.chain
    if diffusion is None or experiment.task.heldout.units.columns is not None:
        return None
    key = key_of(run.seed, Stream.CHAIN_PICTURE)
    if diffusion.event_shape == (2,) and diffusion.kernel.num_levels is None:
        num_points = min(2000, experiment.task.heldout.num_points)
        return plot_figure_one(
            diffusion, experiment.task.heldout.rows(np.arange(num_points)), key, backend="matplotlib"
        )
    if diffusion.event_dim == 1 and isinstance(diffusion.kernel, BernoulliKernel):
        return plot_figure_two(diffusion, key, backend="matplotlib")
    return None


def draws_picture(methods: Mapping[str, tuple[runs.Run, AbstractMethod]], heldout: Dataset) -> Any:
    """Held-out data beside draws of methods, in the units of the data."""
    from dpm_ppl.analysis.plots.draws import as_images, plot_draws

    units, shape = heldout.units, heldout.event_shape
    is_vector, are_bits = len(shape) <= 1, units.kind == "binary"
    num = (NUM_SEQUENCES if are_bits else NUM_VECTORS) if is_vector else NUM_IMAGES
    num_data = min(num, heldout.num_points)
    is_pairs = is_vector and not are_bits and (shape != (2,) or units.columns is not None)
    num_draws = num if is_pairs else num_data  # only a pair plot may have more draws than data
    shown = {"held-out data": units.as_given(heldout.rows(np.arange(num_data)))}
    for name, (run, method) in methods.items():
        key = key_of(run.seed, Stream.PICTURE)
        draws = method.sample(key, num_draws)
        shown[name] = units.as_given(np.asarray(draws))
    columns: Any = units.columns
    as_drawn = as_images(np.empty((1, *shape))).shape
    if len(as_drawn) > 4 or (len(as_drawn) == 4 and as_drawn[-1] != 3):  # arrays that are no images
        columns = [f"x[{', '.join(map(str, place))}]" for place in np.ndindex(shape)]
        shown = {name: values.reshape(len(values), -1) for name, values in shown.items()}
    return plot_draws(shown, columns=columns, backend="matplotlib")
