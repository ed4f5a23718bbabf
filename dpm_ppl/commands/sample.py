"""`dpm-ppl sample`."""

from pathlib import Path

from dpm_ppl._errors import InputError
from dpm_ppl.commands._arguments import Directory


def sample(
    run: Directory, *, num_samples: int = 100, out: Path | None = None, seed: int = 0, json: bool = False
) -> None:
    """Draw from the model of a run, in the units of its data, into a .npy file.

    Args:
        run: A run directory.
        num_samples: Number of draws.
        out: The file; samples.npy in the run directory if not given.
        seed: Seed of the draws.
        json: Print one JSON object.
    """
    import jax
    import numpy as np

    from dpm_ppl import runs
    from dpm_ppl.models import EXPERIMENTS
    from dpm_ppl.programs import sample_from
    from dpm_ppl.reporting import print_json

    runs.check_range("--num-samples", num_samples, 1)
    runs.check_range("--seed", seed, 0, runs.LAST_SEED)
    opened = runs.open_run(run)
    target = out or run / "samples.npy"
    if target.suffix != ".npy" or target.is_dir() or not target.parent.is_dir():
        raise InputError(
            "--out",
            expected="a .npy file in a directory that exists",
            got=target,
            remedy="leave it out for samples.npy in the run directory",
        )
    experiment = opened.declare(EXPERIMENTS)
    trained = runs.trained(opened, experiment)
    values = experiment.heldout.units.as_given(np.asarray(sample_from(trained, jax.random.key(seed), num_samples)))
    np.save(target, values, allow_pickle=False)
    facts = {"experiment": opened.experiment, "file": str(target), "shape": list(values.shape)}
    if json:
        print_json(facts)
    else:
        print(f"{target}: {num_samples:,} draws of {opened.experiment}, shape {tuple(values.shape)}")
