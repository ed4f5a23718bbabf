"""A `Posterior` of `dpm_ppl.posterior` as a `DataTree`; or several, one for each observation."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr

from dpm_ppl._common.checks import check_some
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.analysis.tree.tree import to_datatree
from dpm_ppl.likelihood.diagnostics import RELIABLE
from dpm_ppl.posterior import Posterior

OBSERVATION = "observation"


def conditioned_tree(
    posteriors: Posterior | Sequence[Posterior],
    *,
    key: PRNGKey | None = None,
    num_draws: int | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Draws of equal weight, what was observed, and what is to be thought of them, in ArviZ's groups.

    `posterior` has `x_0`, `(chain, draw, ...)`; `observed_data` has `y`; `sample_stats` the `log_weights` of the
    particles before they were resampled, `ess`, `log_evidence` and its `log_evidence_se` in nats (NaN where the method
    gives none), `verdict`, and the method's own statistics. Where the observation has a density, `log_likelihood` has
    that of each measurement under each draw, for `az.loo`, along the axes of `y`, or where parts of `y` are NaN along
    one axis `measured`. Of a sequence, all have an axis `observation` in front, `x_0` and `log_likelihood` behind
    `draw`. The tree's attributes have the `verdict`, of several the others than `reliable`, and `notices`.

    **Arguments:** `posteriors`, of several those of one method; `key`, for the resampling where weights are not equal,
    a fixed one if not given; `num_draws`, of each, as many as the method made if not given; `attrs`, more attributes.

    **Raises:** `InputError` for an empty sequence.
    """
    several = [posteriors] if isinstance(posteriors, Posterior) else list(posteriors)
    check_some("posteriors", several, expected="at least one", remedy="pass what `condition` returns")
    key = jax.random.key(0) if key is None else key
    index = [_equal_index(one, jax.random.fold_in(key, i), num_draws) for i, one in enumerate(several)]
    draws = np.stack([one.draws[chosen] for one, chosen in zip(several, index, strict=True)])
    event = tuple(f"x_0_dim_{axis}" for axis in range(draws.ndim - 2))
    observed = np.stack([one.observed for one in several])
    seen = tuple(f"y_dim_{axis}" for axis in range(observed.ndim - 1))
    places = {OBSERVATION: np.arange(len(several))}
    groups = {
        "posterior": xr.Dataset(
            {"x_0": (("chain", "draw", OBSERVATION, *event), np.moveaxis(draws, 0, 1)[None])},
            {"chain": [0], "draw": np.arange(draws.shape[1]), **places},
        ),
        "observed_data": xr.Dataset({"y": ((OBSERVATION, *seen), observed)}, places),
        "sample_stats": _statistics(several).assign_coords(places),
    }
    pointwise = [
        one.log_likelihood[chosen] for one, chosen in zip(several, index, strict=True) if one.log_likelihood is not None
    ]
    if len(pointwise) == len(several):
        groups["log_likelihood"] = _log_likelihood(np.stack(pointwise, axis=1)).assign_coords(
            groups["posterior"].coords
        )
    if isinstance(posteriors, Posterior):
        groups = {name: group.isel({OBSERVATION: 0}, drop=True) for name, group in groups.items()}
    doubts = sorted({one.verdict for one in several} - {RELIABLE})
    described = {
        "data": "as given",
        "method": several[0].method,
        "verdict": ", ".join(doubts) or RELIABLE,
        "notices": "; ".join(dict.fromkeys(notice for one in several for notice in one.notices)),
    }
    return to_datatree(attrs=described | dict(attrs or {}), **groups)


def has_equal_weights(posterior: Posterior) -> bool:
    """Whether no draw counts more than another."""
    return bool(np.all(posterior.log_weights == posterior.log_weights[0]))


def _equal_index(posterior: Posterior, key: PRNGKey, num_draws: int | None) -> np.ndarray:
    """Which draws are of equal weight: all, in their order, if their weights are equal, else resampled ones."""
    if has_equal_weights(posterior) and num_draws in (None, len(posterior.draws)):
        return np.arange(len(posterior.draws))
    return posterior.ancestors(key, num_draws)


def _log_likelihood(values: np.ndarray) -> xr.Dataset:
    """Of `(draw, observation, ...)`."""
    axes = tuple(f"y_dim_{axis}" for axis in range(values.ndim - 2))
    if np.isnan(values).any():
        values = values.reshape(*values.shape[:2], -1)
        values, axes = values[..., ~np.isnan(values).all(axis=(0, 1))], ("measured",)
    return xr.Dataset({"y": (("chain", "draw", OBSERVATION, *axes), values[None], {"units": "nats"})})


def _statistics(several: Sequence[Posterior]) -> xr.Dataset:
    evidences = [one.log_evidence for one in several]
    nats = {"units": "nats"}
    found: dict[str, Any] = {
        "log_weights": ((OBSERVATION, "particle"), np.stack([one.log_weights for one in several]), nats),
        "ess": (OBSERVATION, [one.ess for one in several], {"units": "draws"}),
        "log_evidence": (OBSERVATION, [np.nan if one is None else float(one.mean) for one in evidences], nats),
        "log_evidence_se": (OBSERVATION, [np.nan if one is None else float(one.se) for one in evidences], nats),
        "verdict": (OBSERVATION, np.array([one.verdict for one in several])),
    }
    words = {}
    for name, first in several[0].statistics.items():
        values = np.stack([np.asarray(one.statistics[name]) for one in several])
        if values.dtype.kind in "biuf":
            found[name] = ((OBSERVATION, *(f"{name}_dim_{axis}" for axis in range(values.ndim - 1))), values)
        else:
            words[name] = str(first)
    return xr.Dataset(found, attrs=words)
