"""ArviZ's plots of posteriors side by side: each returns the `PlotCollection` and shows nothing.

The plots of one posterior are ArviZ's own, on `comparison.trees[name]`. For these, chains are joined, and every
posterior is thinned evenly to the number of draws of the shortest.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.posteriors.comparison import PosteriorComparison
from dpm_ppl.analysis.posteriors.draws import thinned
from dpm_ppl.analysis.tree.tree import to_datatree

if TYPE_CHECKING:
    from arviz_plots.plot_collection import PlotCollection

WIDTH, ROW, HEIGHT = 1000.0, 180.0, 60.0
"""Of a figure, of a row of densities, and of what stands above and below the intervals, in dots."""
DENSITIES_WIDE = 4
INTERVAL, GAP = 16.0, 12.0
"""Height of an interval and of the gap between the coordinates, in dots."""


def plot_densities(
    comparison: PosteriorComparison,
    *,
    var_names: str | Sequence[str] | None = None,
    kind: Literal["kde", "ecdf", "hist"] = "kde",
    backend: str | None = None,
    **options: Any,
) -> "PlotCollection":
    """Marginal densities of all posteriors in each panel, or ECDFs with `kind="ecdf"`; ArviZ's `plot_dist`.

    **Arguments:** `var_names`, the sites to draw, by default those that were compared. Others may be named, such as
    deterministic ones: posteriors that lack one of them are then left out. `options` are those of `plot_dist`.

    **Raises:** `InputError` for a site that no posterior has together with the others.
    """
    from arviz_plots import plot_dist

    joined = _joined(comparison, var_names)
    num = _num_coordinates(joined, options.get("coords"))
    wide = min(DENSITIES_WIDE, num)
    size = {"figsize": (WIDTH, ROW * -(-num // wide) + HEIGHT / 2), "figsize_units": "dots"}
    options.setdefault("col_wrap", wide)
    options["figure_kwargs"] = size | options.get("figure_kwargs", {})
    options["visuals"] = {"point_estimate_text": False} | options.get("visuals", {})  # they would lie on each other
    drawn = plot_dist(joined, kind=kind, backend=backend, labeller=_one_line(), **options)
    return _with_legend(drawn, joined)


def plot_intervals(
    comparison: PosteriorComparison,
    *,
    var_names: str | Sequence[str] | None = None,
    backend: str | None = None,
    **options: Any,
) -> "PlotCollection":
    """Credible intervals of all posteriors in one panel; ArviZ's `plot_forest`, whose `options` these are.

    `var_names` as for `plot_densities`.
    """
    from arviz_plots import plot_forest

    joined = _joined(comparison, var_names)
    height = HEIGHT + _num_coordinates(joined, options.get("coords")) * (INTERVAL * len(joined) + GAP)
    size = {"figsize": (WIDTH, height), "figsize_units": "dots", "width_ratios": [1, 4]}
    options["figure_kwargs"] = size | options.get("figure_kwargs", {})
    return _with_legend(plot_forest(joined, backend=backend, **options), joined)


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
    joined = _joined(comparison, num_draws=min(row.num_compared for row in comparison.rows))
    groups = [tree["posterior"].to_dataset() for tree in joined.values()]
    stacked = {site: np.concatenate([group[site].values for group in groups]) for site in comparison.sites}
    shown = plot_rank(to_datatree(posterior=stacked), backend=backend, **options)
    names = MapLabeller(coord_map={"chain": dict(enumerate(joined))})
    shown.add_legend("chain", labeller=names, title="posterior")
    return shown


def _joined(
    comparison: PosteriorComparison, var_names: str | Sequence[str] | None = None, num_draws: int | None = None
) -> dict[str, xr.DataTree]:
    """The sites of every posterior that has them all, `(1, draw, ...)`, with as many draws of each."""
    sites = [var_names] if isinstance(var_names, str) else list(comparison.sites if var_names is None else var_names)
    trees = {
        name: tree
        for name, tree in comparison.trees.items()
        if all(site in tree["posterior"].data_vars for site in sites)
    }
    if not trees or not sites:
        known = sorted({str(site) for tree in comparison.trees.values() for site in tree["posterior"].data_vars})
        raise InputError(
            "var_names", expected=f"sites that one posterior has, of {', '.join(known)}", got=sites, remedy="name these"
        )
    shortest = min(row.num_draws for row in comparison.rows) if num_draws is None else num_draws
    return {
        name: to_datatree(posterior={site: thinned(tree["posterior"][site].values, shortest)[None] for site in sites})
        for name, tree in trees.items()
    }


def _num_coordinates(joined: dict[str, xr.DataTree], coords: Any) -> int:
    posterior = next(iter(joined.values()))["posterior"].to_dataset()
    chosen = posterior.sel({dim: at for dim, at in (coords or {}).items() if dim in posterior.dims})
    return sum(int(np.prod(array.shape[2:], dtype=int)) for array in chosen.data_vars.values())


def _one_line() -> Any:
    """Names `a[0, 1]` on one line: on several they run into the panel above."""
    from arviz_base.labels import BaseLabeller

    class OneLine(BaseLabeller):
        def make_label_vert(self, var_name: Any, sel: Any, isel: Any) -> str:
            return self.make_label_flat(var_name, sel, isel)

    return OneLine()


def _with_legend(drawn: "PlotCollection", joined: dict[str, xr.DataTree]) -> "PlotCollection":
    if len(joined) > 1:
        drawn.add_legend("model", title="posterior")
    return drawn
