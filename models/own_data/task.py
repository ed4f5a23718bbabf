"""The task of a user's own data: what they are taken for, what is odd about them, and a Gaussian to hold against."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from dpm_ppl.data.remarks import remarks
from dpm_ppl.data.rows import chunks
from dpm_ppl.experiments import Task
from dpm_ppl.models.own_data.reading import OwnData


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnTask(Task):
    """A task whose data came from a file."""

    own: OwnData


def task_of(own: OwnData) -> OwnTask:
    """The task of these data."""
    gaussian = own.gaussian
    return OwnTask(
        own=own,
        train=own.train,
        validation=own.validation,
        heldout=own.heldout,
        data_facts=own.facts(),
        notices=notices(own),
        gaussian=None if gaussian is None else gaussian_log_density(*gaussian),
    )


def notices(own: OwnData) -> tuple[str, ...]:
    """What the data are taken for, and what is odd about them."""
    units = own.known.units
    validation = "" if own.validation is None else f", {own.validation.num_points:,} to choose parameters by"
    scale = {"columns": ", each column scaled by itself", "pooled": ", all coordinates scaled alike"}.get(own.scale, "")
    levels = "" if units.num_levels is None else f", {units.num_levels} levels"
    found = [
        f"{own.train.num_points:,} data to train on{validation}, {own.heldout.num_points:,} held out; "
        f"{own.kernel} kernel{scale}{levels}"
    ]
    if units.columns:
        found.append(f"columns: {', '.join(map(str, units.columns))}")
    if units.kind == "mixed":
        found.append("whole numbers and categories are dequantised: K bounds their log-probability from below")
    return (*found, *remarks(own.known, own.heldout))


def gaussian_log_density(mean: np.ndarray, covariance: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """That of a Gaussian with these moments, of standardised data, `(datum, *event)` to `(datum,)`, in nats."""
    root = np.linalg.cholesky(covariance)
    constant = -np.log(np.diag(root)).sum() - 0.5 * len(mean) * math.log(2 * math.pi)

    def of_part(part: np.ndarray) -> np.ndarray:
        deviations = part.astype(np.float64).reshape(len(part), -1) - mean
        return constant - 0.5 * np.square(solve_triangular(root, deviations.T, lower=True)).sum(axis=0)

    return lambda x_0: np.concatenate([of_part(part) for _, part in chunks(x_0)])
