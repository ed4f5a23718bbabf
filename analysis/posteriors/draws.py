"""Posterior draws of any origin as one kind of `DataTree`; draws of NumPyro guides with their importance weights."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from numpyro import handlers
from numpyro.infer import MCMC
from numpyro.infer.autoguide import AutoGuide

from dpm_ppl._common.checks import check_key, check_sizes, check_some, finite_array, named, real_array
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import samples_of, set_up
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl.analysis.posteriors.conditioned import conditioned_tree
from dpm_ppl.analysis.tree.tree import to_datatree
from dpm_ppl.guides import FittedGuide
from dpm_ppl.guides.weighing.pair import Pair, posterior_sites
from dpm_ppl.posterior import Posterior

Draws = (
    Mapping[Any, Any]
    | np.ndarray
    | jax.Array
    | pd.DataFrame
    | MCMC
    | Posterior
    | xr.DataTree
    | xr.Dataset
    | xr.DataArray
)
"""What `posterior_tree` takes."""

_MOST_AUTOCORRELATION = 0.05
FEWEST_DRAWS = 4  # that ArviZ's effective sample size and R-hat, which halve every chain, can do with


def weighted_draws(
    fitted: FittedGuide, key: PRNGKey, num_draws: int = 1000, *, draws_chunk: int = 100
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Draws of every latent site `(draw, ...)`, and log p(data, draw) - log q(draw), `(draw,)`, in nats.

    The weights are of the joint law of all latent sites, as in NumPyro's `psis_diagnostic`, and None without a model.
    """
    num_draws, draws_chunk = check_sizes(num_draws=num_draws, draws_chunk=draws_chunk)
    key = check_key(key)
    guide, model = fitted.guide, fitted.model
    if isinstance(guide, AutoGuide):
        model = guide.model if model is None else model
        set_up(guide, key, fitted.args, fitted.kwargs)
    keys = jax.random.split(key, num_draws)
    draws, log_weights = _draw(guide, model, dict(fitted.params), fitted.args, dict(fitted.kwargs), keys, draws_chunk)
    draws = {name: np.asarray(values) for name, values in draws.items()}
    return draws, None if model is None else np.asarray(log_weights, np.float64)


@eqx.filter_jit
def _draw(guide: Any, model: Any, params: Any, args: Any, kwargs: Any, keys: Any, draws_chunk: int) -> Any:
    def one(key: PRNGKey) -> tuple[dict[str, Array], Array]:
        if model is not None:
            drawn = Pair(model, guide, params, args, kwargs).weigh(key)
            return drawn.latents, drawn.log_weight
        sites = handlers.trace(handlers.seed(handlers.substitute(guide, params), key)).get_trace(*args, **kwargs)
        return {name: sites[name]["value"] for name in posterior_sites(sites, {})}, jnp.zeros(())

    return jax.lax.map(one, keys, batch_size=draws_chunk)


def posterior_tree(draws: Draws, *, with_chains: bool = False) -> xr.DataTree:
    """A `DataTree` whose group `posterior` has every site as `(chain, draw, ...)`, as ArviZ's functions want it.

    **Arguments:** `draws`: arrays by site, as `MCMC.get_samples` or `Predictive` give them; one array, whose site is
    called `x`; a table, whose columns are the sites; an `MCMC` that has run; a `Posterior`, whose site is `x_0`; a
    `DataTree` with a group `posterior`, or that group. Arrays are `(draw, ...)`, or `(chain, draw, ...)` with
    `with_chains`.

    **Raises:** `InputError` for anything else, fewer than four draws in a chain, and draws that are not finite.
    """
    if isinstance(draws, xr.DataTree):
        if "posterior" not in draws.children:
            groups = ", ".join(draws.children) or "none"
            raise InputError("draws", expected="a group posterior", got=groups, remedy="name the group so")
        tree = draws
    elif isinstance(draws, Posterior):
        tree = conditioned_tree(draws)
    elif isinstance(draws, xr.Dataset):
        tree = to_datatree(posterior=draws)
    elif isinstance(draws, MCMC):
        samples = samples_of(draws)
        if samples is None:
            raise InputError("draws", expected="an MCMC that has run", got="one that has not", remedy="run it")
        tree = to_datatree(posterior=samples)
    elif isinstance(draws, xr.DataArray) and draws.dims[:2] == ("chain", "draw"):
        tree = to_datatree(posterior=draws.rename(draws.name or "x").to_dataset())
    else:
        sites = _sites_of(draws)
        arrays = {name: np.asarray(real_array(values, f"draws, site {name}")) for name, values in sites.items()}
        tree = to_datatree(posterior=arrays if with_chains else {name: array[None] for name, array in arrays.items()})
    _check(tree["posterior"].to_dataset())
    return tree


def _sites_of(draws: Any) -> dict[str, Any]:
    """The arrays of a mapping and the columns of a table by name; anything else as one site."""
    by_name = isinstance(draws, Mapping) or hasattr(draws, "columns")
    sites = named({name: draws[name] for name in draws} if by_name else {"x": draws}, "draws")
    if taken := {"chain", "draw"} & set(sites):
        got = f"a site {min(taken)}"
        raise InputError("draws", expected="sites not named as the axes", got=got, remedy="rename it, or leave it out")
    return sites


def _check(posterior: xr.Dataset) -> None:
    for name, array in posterior.data_vars.items():
        if array.dims[:2] != ("chain", "draw") or array.sizes["draw"] < FEWEST_DRAWS or 0 in array.shape:
            raise InputError(
                f"draws, site {name}",
                expected=f"(chain, draw, ...) with {FEWEST_DRAWS} draws or more",
                got=f"{array.dims} of shape {array.shape}",
                remedy="name and order the axes so, or draw more",
            )
        finite_array(f"draws, site {name}", array, remedy="leave the site out, or find out why")
    check_some("draws", posterior.data_vars, expected="at least one site", remedy="pass draws")


def coordinates(posterior: xr.Dataset, sites: list[str]) -> np.ndarray:
    """The sites side by side as flat coordinates, `(chain, draw, coordinate)` in float64."""
    arrays = [np.asarray(posterior[site], np.float64) for site in sites]
    return np.concatenate([array.reshape(*array.shape[:2], -1) for array in arrays], axis=2)


def coordinate_names(posterior: xr.Dataset, sites: list[str]) -> list[str]:
    """What `coordinates` holds, in its order: `a`, `b[0]`, `c[1, 2]`."""
    indices = [(site, index) for site in sites for index in np.ndindex(posterior[site].shape[2:])]
    return [f"{site}[{', '.join(map(str, index))}]" if index else site for site, index in indices]


class Mixing(NamedTuple):
    """How well chains mix: of the coordinates that move the smallest effective sample size and the largest R-hat.

    The first is the number of draws where no coordinate moves, the second NaN there and for a single chain.
    """

    constants: tuple[str, ...]
    ess: float
    rhat: float


def mixing_of(values: np.ndarray, names: list[str]) -> Mixing:
    """Of draws `(chain, draw, coordinate)` whose coordinates have these names."""
    from arviz_stats.sampling_diagnostics import ess, rhat  # takes seconds

    still = np.ptp(values, axis=(0, 1)) == 0
    constants = tuple(np.array(names)[still].tolist())
    num_chains, num_draws, _ = values.shape
    if still.all():
        return Mixing(constants, float(num_chains * num_draws), np.nan)
    by_coordinate = values[:, :, ~still].transpose(2, 0, 1)
    axes = {"chain_axis": 1, "draw_axis": 2}
    # Chains that each stay at a value of their own have an infinite R-hat, and balanced bits none for their distance
    # from the median, which ArviZ then leaves aside.
    with np.errstate(divide="ignore", invalid="ignore"):
        smallest = float(np.min(ess(by_coordinate, **axes)))
        largest = float(np.max(rhat(by_coordinate, **axes))) if num_chains > 1 else np.nan
    return Mixing(constants, smallest, largest)


def num_independent(num_draws: int, ess: float) -> int:
    """How many of `num_draws`, evenly spaced, are all but independent: autocorrelation of 0.05 at most.

    As in an autoregression of order one with this effective sample size, whose coefficient follows from the ratio of
    the two. So many as the effective sample size itself would still have autocorrelations of up to exp(-2) = 0.14.
    """
    coefficient = (num_draws - ess) / (num_draws + ess)
    if coefficient <= _MOST_AUTOCORRELATION:
        return num_draws
    return int(num_draws * math.log(coefficient) / math.log(_MOST_AUTOCORRELATION))


def thinned(draws: np.ndarray, num_draws: int, *, in_order: bool = True) -> np.ndarray:
    """`(chain, draw, ...)` as `(draw, ...)`, no more than `num_draws` of them, evenly over the chains.

    Where they are in an order that means nothing, as sorted data are, they are taken at random.
    """
    flat = draws.reshape(-1, *draws.shape[2:])
    if not in_order:
        return np.random.default_rng(0).permutation(flat)[:num_draws]
    return flat[np.linspace(0, len(flat) - 1, min(num_draws, len(flat))).round().astype(int)]
