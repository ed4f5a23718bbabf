"""ArviZ's plots of posteriors side by side: each returns the `PlotCollection` and shows nothing.

The plots of one posterior are ArviZ's own, on `comparison.trees[name]`. For these, chains are joined, and every
posterior is thinned evenly to the number of draws of the shortest.
"""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from dpm_ppl._errors import InputError
from dpm_ppl.analysis.draws import thinned
from dpm_ppl.analysis.posteriors import PosteriorComparison
from dpm_ppl.analysis.tree import to_datatree

if TYPE_CHECKING:
    from arviz_plots.plot_collection import PlotCollection


def plot_densities(
    comparison: PosteriorComparison,
    *,
    kind: Literal["kde", "ecdf", "hist"] = "kde",
    backend: str | None = None,
    **options: Any,
) -> "PlotCollection":
    """Marginal densities of all posteriors in each panel, or ECDFs with `kind="ecdf"`; `plot_dist`."""
    from arviz_plots import plot_dist

    return plot_dist(_joined(comparison), kind=kind, backend=backend, **options)


def plot_intervals(comparison: PosteriorComparison, *, backend: str | None = None, **options: Any) -> "PlotCollection":
    """Credible intervals of all posteriors in one panel; `plot_forest`."""
    from arviz_plots import plot_forest

    return plot_forest(_joined(comparison), backend=backend, **options)


def plot_ranks(comparison: PosteriorComparison, *, backend: str | None = None, **options: Any) -> "PlotCollection":
    """Rank plot with every posterior as a chain: posteriors of one law have uniform ranks among all draws.

    ArviZ's test of it (`plot_rank`, method `mtc_c`) stands in each panel. It takes the draws for independent, so they
    are thinned until they are, as for the distances.

    **Raises:** `InputError` for a single posterior, whose chains `az.plot_rank(comparison.trees[name])` compares.
    """
    from arviz_base.labels import MapLabeller
    from arviz_plots import plot_rank

    if len(comparison.trees) < 2:
        raise InputError(
            "comparison", expected="two posteriors or more", got="one", remedy="use az.plot_rank on its tree"
        )
    joined = _joined(comparison, min(row.num_compared for row in comparison.rows))
    stacked = {
        site: np.concatenate([tree["posterior"][site].values for tree in joined.values()]) for site in comparison.sites
    }
    shown = plot_rank(to_datatree(posterior=stacked), backend=backend, **options)
    names = MapLabeller(coord_map={"chain": dict(enumerate(joined))})
    shown.add_legend("chain", labeller=names, title="posterior")
    return shown


def _joined(comparison: PosteriorComparison, num_draws: int | None = None) -> dict[str, xr.DataTree]:
    shortest = min(row.num_draws for row in comparison.rows) if num_draws is None else num_draws
    return {
        name: to_datatree(
            posterior={site: thinned(tree["posterior"][site].values, shortest)[None] for site in comparison.sites}
        )
        for name, tree in comparison.trees.items()
    }
