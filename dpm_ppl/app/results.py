"""Everything a run measured as one `DataTree`."""

import jax
import numpy as np
import xarray as xr

from dpm_ppl.analysis.tree.tree import bound_group, pointwise_group, to_datatree, weights_group
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.diffusion.bounds import bound
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.evaluation import Measured
from dpm_ppl.experiments.streams import Stream, key_of

NUM_BOUND_POINTS = 200
"""Held-out data whose terms of K are kept step by step."""
NUM_SAMPLES = 400


def tree_of(trained: OpenedRun, measured: Measured) -> xr.DataTree:
    """Bound and weights per datum, pointwise log-likelihood, samples, data, schedule and provenance of a run.

    The groups `bound` (a diffusion's, of the first data), `weights`, `log_likelihood` and `observed_data` number the
    held-out data alike. `prior_predictive` holds draws of the trained model, in standardised units as all else.
    """
    run, experiment, method = trained.run, trained.experiment, trained.method
    rows = experiment.task.heldout.rows(np.arange(len(measured.scores.K_values)))
    draws = np.asarray(method.sample(key_of(run.seed, Stream.DRAWS), NUM_SAMPLES))
    exact = measured.scores.exact_values
    weights = measured.weights
    settings = {f"option_{name}": value for name, value in run.options.items() if value is not None}
    versions = {f"run_{name}_version": value for name, value in run.environment.get("versions", {}).items()}
    return to_datatree(
        bound=None if method.chain is None else _bound_of(method.chain, rows, run.seed, experiment.task.heldout),
        weights=None if weights is None else weights_group(weights),
        log_likelihood=pointwise_group(measured.scores.K_values if weights is None else weights.log_likelihood),
        prior_predictive={"x_0": draws[None]},
        observed_data={"x_0": rows, "K": measured.scores.K_values, **({} if exact is None else {"exact": exact})},
        constant_data={"shift": experiment.task.heldout.units.shift, "scale": experiment.task.heldout.units.scale},
        units=experiment.task.heldout.units,
        attrs={
            "experiment": run.experiment,
            **settings,
            "seed": run.seed,
            "num_updates": run.num_updates,
            "datum": experiment.task.datum,
            **versions,
        },
    )


def _bound_of(diffusion: Diffusion, rows: np.ndarray, seed: int, heldout) -> xr.Dataset:
    keys = jax.random.split(key_of(seed, Stream.TERMS))
    x_0 = heldout.draw(rows[:NUM_BOUND_POINTS], keys[0])
    return bound_group(bound(diffusion, x_0, keys[1], num_draws=4), diffusion=diffusion)
