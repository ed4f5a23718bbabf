"""`evidence_tree`: resampled draws of a guide as a `DataTree`, with their log-densities."""

import json
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from dpm_ppl._common.checks import check_kind, check_sizes
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.analysis.tree.tree import to_datatree
from dpm_ppl.guides import Evidence
from dpm_ppl.guides.weighing.pair import Pair

_DRAWS_AT_ONCE = 64


def evidence_tree(
    found: Evidence,
    *,
    key: PRNGKey | None = None,
    num_draws: int = 1000,
    num_chains: int = 4,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Draws of equal weight by PSIS-smoothed weights, and what belongs to them, in ArviZ's groups.

    `posterior` has the model's latents and deterministic sites, `(chain, draw, ...)`; `log_prior` and `log_likelihood`
    the log-densities of latents and of what is observed, not summed, as `az.loo` takes them; `observed_data` the data;
    `sample_stats` `log_q` and `log_weight` of each draw under the guide, and in its attributes the figures of the
    guide. The draws come in no order, so that chains are no more than parts of them, for functions that ask for some.

    **Arguments:** `num_draws`, in each chain; `key`, for the resampling, a fixed one if not given; `attrs`, more
    attributes.

    **Raises:** `InputError` for anything but an `Evidence`, and sizes that are none.
    """
    remedy = "pass what dpm_ppl.guides.evidence returns"
    check_kind("found", found, Evidence, expected="an Evidence", remedy=remedy)
    num_draws, num_chains = check_sizes(num_draws=num_draws, num_chains=num_chains)
    if taken := {"chain", "draw"} & found.draws.keys():
        got, remedy = f"a site {min(taken)}", "rename it in the model"
        raise InputError("found", expected="sites not named as the axes", got=got, remedy=remedy)
    key = jax.random.key(0) if key is None else key
    index = found.ancestors(key, num_draws * num_chains)
    draws = {name: values[index] for name, values in found.draws.items()}
    of_latents, of_observed = _log_densities(found.pair, {name: jnp.asarray(values) for name, values in draws.items()})
    by_chain = {
        "posterior": draws,
        "log_prior": of_latents,
        "log_likelihood": of_observed,
        "sample_stats": {"log_q": found.log_q[index], "log_weight": found.log_weights[index]},
    }
    groups = {name: _dataset(group, num_chains) for name, group in by_chain.items() if group}
    if observed := found.pair.observed():
        groups["observed_data"] = _dataset(observed)
    figures = {name: value for name, value in found.as_json().items() if not isinstance(value, dict | list)}
    figures |= {name: figure.mean for name, figure in found.figures().items()}
    figures |= {f"{name}_se": figure.se for name, figure in found.figures().items()}
    groups["sample_stats"].attrs = {name: value for name, value in figures.items() if value is not None}
    described = {"data": "as given", "verdict": found.verdict, "notices": json.dumps(list(found.notices))}
    return to_datatree(attrs=described | dict(attrs or {}), **groups)


@eqx.filter_jit
def _log_densities(pair: Pair, draws: dict[str, Any]) -> Any:
    return jax.lax.map(pair.log_densities, draws, batch_size=_DRAWS_AT_ONCE)


def _dataset(arrays: Mapping[str, Any], num_chains: int | None = None) -> xr.Dataset:
    """With ArviZ's names of axes, those of draws cut into chains."""
    from arviz_base import dict_to_dataset  # takes seconds

    values = {name: np.asarray(array) for name, array in arrays.items()}
    if num_chains is None:
        return _bare(dict_to_dataset(values, sample_dims=[], check_conventions=False))
    values = {name: array.reshape(num_chains, -1, *array.shape[1:]) for name, array in values.items()}
    return _bare(dict_to_dataset(values, check_conventions=False))


def _bare(dataset: xr.Dataset) -> xr.Dataset:
    dataset.attrs = {}
    return dataset
