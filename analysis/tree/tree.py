"""Everything a run measured as one documented xarray `DataTree`, in ArviZ's terms, and its files.

`bound_group`, `weights_group` and `pointwise_group` label what `dpm_ppl` returns; `to_datatree` puts groups together,
theirs and ArviZ's own; `save` and `load` keep them in Zarr or netCDF. Figures are nats of standardised data; with
`units`, the attributes of the tree say how to convert them.

An index along `datum` counts the data as they were scored; for a part of a set, `assign_coords(datum=...)`.
"""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_names, check_shape, one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.tree.files import load, save
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.bounds import Bound
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.likelihood.diagnostics import MOST_RELIABLE_KHAT
from dpm_ppl.likelihood.result import LogLikelihood

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDData

__all__ = ["bound_group", "held_out_elpd", "load", "pointwise_group", "save", "to_datatree", "weights_group"]

Group = xr.Dataset | Mapping[str, Any]
DrawsOf = Literal["estimates", "parameters"]

LEADING_DIMS = {
    **dict.fromkeys(("posterior", "prior", "prior_sbc", "sample_stats", "log_prior"), ("chain", "draw")),
    **dict.fromkeys(("posterior_predictive", "prior_predictive"), ("chain", "draw")),
    "log_likelihood": ("chain", "draw", "datum"),
    "observed_data": ("datum",),
    "constant_data": (),
}
"""What the first axes of the arrays of ArviZ's groups are."""
GROUPS = ("bound", "weights", *LEADING_DIMS)

PACKAGES = ("numpyro", "jax", "equinox", "numpy", "arviz", "xarray")
"""Whose versions a tree records."""

BOUND_TERMS = {
    "K": "the bound, edge - sum of step_divergences - end_point",
    "edge": "E log p(x_0 | x_1)",
    "end_point": "KL(q(x_T | x_0) || pi)",
    "entropy_first": "H_q(X^1 | X^0)",
    "entropy_last": "H_q(X^T | X^0)",
    "entropy_stationary": "H_p(X^T)",
    "L_null": "log pi(x_0)",
}
ESTIMATES = {
    "log_likelihood": ("log-mean of the importance weights", "nats"),
    "se": ("Monte-Carlo standard error of log_likelihood", "nats"),
    "se_delta": ("the same by the delta method alone", "nats"),
    "se_bootstrap": ("the same from a bootstrap over draws", "nats"),
    "ess": ("effective sample size of the weights", "draws"),
    "khat": ("Pareto shape of the largest weights", "1"),
    "bulk_index": ("tail index that the middle of the weights has", "1"),
    "cumulant": ("E log w + Var(log w) / 2", "nats"),
    "cumulant_se": ("Monte-Carlo standard error of cumulant", "nats"),
    "verdict": ("reliable, doubtful, unusable or too few draws", "text"),
    "num_draws": ("draws behind the estimate", "draws"),
}


def bound_group(bound: Bound, *, diffusion: Diffusion | None = None) -> xr.Dataset:
    """The terms of K per datum, and `step_divergences` `(datum, step)` with the paper's t = 2..T as coordinate; nats.

    **Arguments:** `diffusion`, the one that was scored: adds `beta` and `log_snr` along `step`, and what it is made of.

    **Raises:** `InputError` where `diffusion` has another number of steps.
    """
    num_steps = bound.step_divergences.shape[1] + 1
    divergences = "E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))"
    variables = {name: _variable("datum", getattr(bound, name), text) for name, text in BOUND_TERMS.items()}
    variables["step_divergences"] = _variable(("datum", "step"), bound.step_divergences, divergences)
    coords: dict[str, Any] = {"datum": np.arange(len(bound.K)), "step": np.arange(2, num_steps + 1)}
    attrs = {"unit": "nats", "num_draws": bound.num_draws, "num_steps": num_steps}
    if diffusion is not None:
        if diffusion.num_steps != num_steps:
            raise InputError(
                "diffusion",
                expected=f"T = {num_steps}, as the bound has",
                got=f"T = {diffusion.num_steps}",
                remedy="pass the diffusion that was scored",
            )
        steps = diffusion.steps[1:]
        coords["beta"] = _variable("step", steps.beta, "diffusion rate", "1")
        coords["log_snr"] = _variable("step", steps.log_snr, "log of signal-to-noise", "nats")
        parts = {name: type(getattr(diffusion, name)).__name__ for name in ("kernel", "schedule", "network")}
        attrs |= parts | {"edge": diffusion.edge, "num_coordinates": diffusion.num_coordinates}
    return xr.Dataset(variables, coords, attrs)


def weights_group(result: LogLikelihood) -> xr.Dataset:
    """Importance-weighted estimates per datum, nats; their ladder `(datum, num_particles)`; and kept log-weights.

    `ladder`, `ladder_se` are the values for every number of particles in a mean of weights, `ladder_rise`,
    `ladder_rise_se` the rise to it from the number before: NaN for the first, and for data without draws. A datum's own
    number is `num_draws` times the attribute `particles_per_draw`. `log_weights` is `(datum, draw)`.
    """
    variables = {name: _variable("datum", getattr(result, name), *about) for name, about in ESTIMATES.items()}
    ladder, drawn = result.ladder, result.num_draws > 0
    texts = {
        "ladder": (ladder.values, "average log-mean over disjoint groups of num_particles"),
        "ladder_se": (ladder.se, "Monte-Carlo standard error of ladder"),
        "ladder_rise": (ladder.rises, "from the number of particles before to this one"),
        "ladder_rise_se": (ladder.rises_se, "Monte-Carlo standard error of ladder_rise, paired"),
    }
    for name, (values, text) in texts.items():
        full = np.full((len(drawn), len(ladder.num_particles)), np.nan)
        full[drawn, full.shape[1] - values.shape[1] :] = values
        variables[name] = _variable(("datum", "num_particles"), full, text)
    coords: dict[str, Any] = {
        "datum": np.arange(len(drawn)),
        "num_particles": _variable("num_particles", ladder.num_particles, "particles behind one log-mean", "particles"),
    }
    if result.log_weights is not None:
        variables["log_weights"] = _variable(("datum", "draw"), result.log_weights, "log-weight of a draw")
        coords["draw"] = np.arange(result.log_weights.shape[1])
    per_draw = int(result.num_particles.max() // result.num_draws.max())
    attrs = {"unit": "nats", "particles_per_draw": per_draw, "interrupted": int(result.interrupted)}
    return xr.Dataset(variables, coords, attrs)


def pointwise_group(log_likelihood: ArrayLike, *, name: str = "x_0", draws_of: DrawsOf = "estimates") -> xr.Dataset:
    """ArviZ's group `log_likelihood`: nats per datum, `(chain, draw, datum)`.

    What the draws are decides what may be done with them. With `draws_of="parameters"` each draw is the likelihood
    under one draw of a posterior: what `az.loo` is for. With `draws_of="estimates"` the model is one point, and the
    draws repeat an estimate of one number: `az.loo` would take their noise for posterior uncertainty, and has nothing
    to leave out, for no datum can be taken back from fitted parameters. Such a model is scored on data it has not
    seen, by `held_out_elpd`; on its training data the same figure is optimistic.

    **Arguments:** `log_likelihood`, shape `(datum,)`, `(draw, datum)` or `(chain, draw, datum)`; `name`, what the data
    are called in `observed_data`.

    **Raises:** `InputError` for another shape or no numbers, and parameters without draws.
    """
    values = _array("log_likelihood", log_likelihood)
    one_of("draws_of", draws_of, get_args(DrawsOf), "say what differs")
    fewest = 1 if draws_of == "estimates" else 2
    if not fewest <= values.ndim <= 3 or values.dtype.kind not in "iuf" or 0 in values.shape:
        raise InputError(
            "log_likelihood",
            expected=f"numbers of shape {'(datum,), ' if fewest == 1 else ''}(draw, datum) or (chain, draw, datum)",
            got=f"shape {values.shape}, dtype {values.dtype}",
            remedy="put the data on the last axis",
        )
    values = values.reshape((1,) * (3 - values.ndim) + values.shape)
    dims = ("chain", "draw", "datum")
    coords = {dim: np.arange(size) for dim, size in zip(dims, values.shape, strict=True)}
    pointwise = _variable(dims, values, "log-likelihood of each datum")
    return xr.Dataset({name: pointwise}, coords, {"unit": "nats", "draws_of": draws_of})


def held_out_elpd(log_likelihood: xr.Dataset | xr.DataTree, *, khat: ArrayLike | None = None) -> "ELPDData":
    """Expected log predictive density of data that were not trained on, for `az.compare`: sum over data, nats.

    The predictive density of a datum is the mean over draws, of a posterior as of unbiased estimates of p(x_0); the
    standard error is that over data. Nothing is left out, so there is no p and the result is no `loo`: `az.compare`
    ranks such results among themselves, and refuses to mix them with those of `az.loo`.

    **Arguments:** `log_likelihood`, a group by `pointwise_group`, or a tree that has it; `khat`, shape `(datum,)`, of
    the importance weights behind it, which `az.compare` and `az.plot_khat` show.

    **Raises:** `InputError` where there is not one array of finite numbers, or `khat` does not fit it.
    """
    from arviz_stats.utils import ELPDData  # takes seconds

    if isinstance(log_likelihood, xr.DataTree):
        if "log_likelihood" not in log_likelihood.children:
            groups = ", ".join(log_likelihood.children) or "none"
            raise InputError(
                "log_likelihood", expected="a group of this name", got=groups, remedy="add a pointwise_group"
            )
        log_likelihood = log_likelihood["log_likelihood"].to_dataset()
    arrays = list(log_likelihood.data_vars.values())
    if len(arrays) != 1 or arrays[0].dims != LEADING_DIMS["log_likelihood"] or not np.isfinite(arrays[0]).all():
        raise InputError(
            "log_likelihood",
            expected="one array (chain, draw, datum) of finite numbers",
            got=", ".join(f"{array.name} {array.dims}" for array in arrays) or "none",
            remedy="make it by pointwise_group, of the data that have an estimate",
        )
    values = arrays[0].astype(np.float64)
    num_draws, num_data = values.sizes["chain"] * values.sizes["draw"], values.sizes["datum"]
    pointwise = np.logaddexp.reduce(values.values.reshape(num_draws, num_data)) - np.log(num_draws)
    coords = {"datum": values["datum"]}
    shapes = None
    if khat is not None:
        check_shape("khat", khat, (num_data,), remedy="one for each datum")
        shapes = xr.DataArray(np.asarray(khat), coords, name="pareto_shape")
    return ELPDData(
        elpd=float(pointwise.sum()),
        se=float(np.sqrt(num_data * pointwise.var())),
        p=float("nan"),
        n_samples=num_draws,
        n_data_points=num_data,
        scale="log",
        warning=shapes is not None and not bool((shapes <= MOST_RELIABLE_KHAT).all()),  # unknown shapes warn too
        good_k=MOST_RELIABLE_KHAT,
        elpd_i=xr.DataArray(pointwise, coords, name="elpd_i"),
        pareto_k=shapes,
    )


def to_datatree(
    *,
    units: Units | None = None,
    created_at: datetime | None = None,
    attrs: Mapping[str, Any] | None = None,
    **groups: Group | None,
) -> xr.DataTree:
    """One tree of the groups that are given, with provenance in its attributes.

    **Arguments:**

    - `groups`: `bound` and `weights` from above, and ArviZ's: `log_likelihood`, `posterior`, `prior`, `constant_data`,
      `observed_data` and the others of `LEADING_DIMS`. A dataset is taken as it is. Arrays by name get the dims that
      `LEADING_DIMS` says, then ArviZ's `NAME_dim_0` and so on: draws are `(chain, draw, ...)`.
    - `units`: how the data were standardised. A log-density in nats plus the attribute `log_det` is that of the data as
      they were given; divided by `num_coordinates` and log 2, bits per dimension.
    - `created_at`: left out, nothing in the tree depends on when it was made.
    - `attrs`: more attributes, for instance the options of a run.

    **Raises:** `InputError` for an unknown group, and arrays whose first axes are missing or differ in length.
    """
    check_names("groups", groups, GROUPS, remedy="rename it")
    given = {name: _dataset(name, group) for name, group in groups.items() if group is not None}
    described = {
        "creation_library": "dpm-ppl",
        "creation_library_version": version("dpm-ppl"),
        "creation_library_language": "Python",
        **{f"{package}_version": version(package) for package in PACKAGES},
        "unit": "nats",
        "data": "standardised",
    }
    if units is not None:
        described |= {"kind": units.kind, "log_det": units.log_det, "num_coordinates": units.num_coordinates}
        described |= {} if units.num_levels is None else {"num_levels": units.num_levels}
    if created_at is not None:
        described["created_at"] = created_at.isoformat()
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=described | dict(attrs or {})), **given})


def _variable(dims: str | tuple[str, ...], values: ArrayLike, text: str, units: str = "nats") -> xr.Variable:
    return xr.Variable(dims, np.asarray(values), {"long_name": text, "units": units})


def _array(argument: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biufU":
        raise InputError(
            argument, expected="numbers, bits or text", got=f"dtype {array.dtype}", remedy="convert it, or leave it out"
        )
    return array


def _dataset(group: str, given: Group) -> xr.Dataset:
    if isinstance(given, xr.Dataset):
        return given
    if group not in LEADING_DIMS:
        raise InputError(group, expected="a dataset", got=type(given).__name__, remedy=f"make it by {group}_group")
    from arviz_base import dict_to_dataset  # takes seconds

    leading = LEADING_DIMS[group]
    arrays = {name: _array(f"{group}[{name!r}]", values) for name, values in given.items()}
    shapes = {array.shape[: len(leading)] for array in arrays.values()}
    if len(shapes) > 1 or any(len(shape) < len(leading) for shape in shapes):
        raise InputError(
            group,
            expected=f"arrays ({', '.join(leading)}, ...) that agree in these axes",
            got=", ".join(f"{name} {array.shape}" for name, array in arrays.items()),
            remedy="reshape, one chain as x[None]",
        )
    sampled = [dim for dim in leading if dim != "datum"]
    dims = {name: ["datum"] if "datum" in leading else [] for name in arrays}
    labelled = dict_to_dataset(arrays, sample_dims=sampled, dims=dims, check_conventions=False)
    labelled.attrs = {}
    return labelled
