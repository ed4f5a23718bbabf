"""`dpm-ppl sample`."""

from pathlib import Path

from dpm_ppl._common.errors import InputError
from dpm_ppl.app.commands._arguments import Directory, Whole, WholeOrNone
from dpm_ppl.app.commands._output import print_json


def sample(
    run: Directory,
    *,
    num_samples: Whole = 100,
    num_steps: WholeOrNone = None,
    out: Path | None = None,
    seed: Whole = 0,
    data: Path | None = None,
    json: bool = False,
) -> None:
    """Draw from the model of a run, in the units of its data, into a file.

    Args:
        run: A run directory.
        num_samples: Number of draws.
        num_steps: Go down the chain of a diffusion in so many of its steps, evenly spread; in all if not given.
        out: The file; samples.npy in the run directory if not given. Named columns come back under their names, in a
            .csv, .parquet or .npz file; if not given, in samples of the same kind as the file of the data.
        seed: Seed of the draws.
        data: The file of the data, where it is no longer where it was.
        json: Print one JSON object.
    """
    import jax
    import numpy as np

    from dpm_ppl._common.chunks import watched
    from dpm_ppl._common.files import replacing
    from dpm_ppl._common.progress import count_display
    from dpm_ppl.app import runs
    from dpm_ppl.app.opened import load_to_draw
    from dpm_ppl.data.columns import frame_of
    from dpm_ppl.data.frames import SUFFIXES, suffix_like, write_frame
    from dpm_ppl.experiments.options import LAST_SEED, check_range
    from dpm_ppl.models import EXPERIMENTS

    check_range("--num-samples", num_samples, 1)
    check_range("--seed", seed, 0, LAST_SEED)
    opened = runs.open_run(run)
    experiment = opened.declare_to_draw(EXPERIMENTS, data)
    units = experiment.task.heldout.units
    is_table = units.columns is not None
    kinds = SUFFIXES if is_table else (".npy",)
    default = f"samples{suffix_like(opened.options[opened.files[0]]) if is_table else '.npy'}"
    target = out or run / default
    if target.suffix not in kinds or target.is_dir() or not target.parent.is_dir():
        raise InputError(
            "--out",
            expected=f"a {', '.join(kinds)} file in a directory that exists",
            got=target,
            remedy=f"leave it out for {default} in the run directory",
        )
    trained = load_to_draw(opened, experiment, data).on_steps(num_steps).method
    with count_display(True, "draws", num_samples) as show, watched(show):
        values = units.as_given(np.asarray(trained.sample(jax.random.key(seed), num_samples)))
    with replacing(target) as file:
        if units.columns is None:
            np.save(file, values, allow_pickle=False)
        else:
            write_frame(frame_of(units.columns, values), file, target.suffix)
    if json:
        print_json({"experiment": opened.experiment, "file": str(target), "shape": list(values.shape)})
    else:
        print(f"{target}: {num_samples:,} draws of {opened.experiment}, shape {tuple(values.shape)}")
