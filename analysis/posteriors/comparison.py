"""Posterior approximations side by side: what their draws say, how far they are from a reference, what to think of it.

`compare_posteriors` takes draws of any origin, NumPyro's guides and chains among them. Its result prints as a table in
a terminal and in a notebook; the trees in it are ArviZ's, for `az.summary` and `az.plot_*`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from textwrap import fill
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_key, check_names, check_sizes, check_some, named, number_in
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.analysis.posteriors import tables
from dpm_ppl.analysis.posteriors.conditioned import conditioned_tree, has_equal_weights
from dpm_ppl.analysis.posteriors.distances import classifier_two_sample, maximum_mean_discrepancy, sliced_wasserstein
from dpm_ppl.analysis.posteriors.draws import FEWEST_DRAWS, Draws, posterior_tree, weighted_draws
from dpm_ppl.analysis.posteriors.rows import DistanceFunction, PosteriorRow, rows_of
from dpm_ppl.analysis.posteriors.weight_checks import check_weights
from dpm_ppl.analysis.text_table import WIDTH, TextTable
from dpm_ppl.guides import FittedGuide
from dpm_ppl.posterior import Posterior

if TYPE_CHECKING:
    import pandas as pd

_SHARE = 0.2  # of the effective draws of a posterior with weights
DISTANCES: tuple[DistanceFunction, ...] = (sliced_wasserstein, maximum_mean_discrepancy, classifier_two_sample)


@dataclass(frozen=True)
class PosteriorComparison:
    """Posteriors side by side; see `compare_posteriors`.

    - `sites`: what is compared, and `left_out`, by posterior, the shapes of all its other sites: not every posterior
      has them in that shape. Deterministic sites are among them where a guide, which draws none, is compared.
    - `trees`: ArviZ's, by name, the reference among them.
    """

    rows: tuple[PosteriorRow, ...]
    sites: tuple[str, ...]
    left_out: dict[str, dict[str, tuple[int, ...]]]
    reference: str | None
    trees: dict[str, xr.DataTree] = field(repr=False)

    def summaries(self, **options: Any) -> "dict[str, pd.DataFrame]":
        """`az.summary` of the common sites of every posterior; `options` are its own."""
        from arviz_stats.summary import summary  # takes seconds

        sites = list(self.sites)
        tables: dict[str, Any] = {name: summary(tree, var_names=sites, **options) for name, tree in self.trees.items()}
        return tables

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per posterior, numbers in columns; `sliced W2`, `sliced W2 se`, `sliced W2 null` and so on."""
        return tables.data_frame(self.rows)

    def table(self) -> TextTable:
        """The figures of every posterior, in rows of their own."""
        return tables.figures_table(self.rows, self.sites)

    def notes(self) -> list[str]:
        """What to know of the table, and a verdict on every posterior."""
        return tables.notes(self.rows, self.left_out, self.reference)

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        return Group(self.table().rich(), *map(Text, self.notes()))

    def __str__(self) -> str:
        notes = (fill(line, WIDTH, break_on_hyphens=False) for line in self.notes())
        return "\n".join([self.table().to_text(), *notes])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{escape(line)}</li>" for line in self.notes())
        return f"{self.table()._repr_html_()}<ul>{lines}</ul>"


def compare_posteriors(
    posteriors: Mapping[Any, Draws | FittedGuide],
    *,
    reference: str | int | np.integer | Draws | None = None,
    with_chains: Collection[Any] = (),
    independent: Collection[Any] = (),
    log_weights: Mapping[Any, ArrayLike] | None = None,
    key: PRNGKey | None = None,
    num_draws: int = 1000,
    distances: Sequence[DistanceFunction] = DISTANCES,
    level: float = 0.05,
) -> PosteriorComparison:
    """Posteriors of one model beside each other, and their distances to a reference.

    Before distances are taken, all coordinates are standardised by the mean and standard deviation of the reference, so
    that sliced W2 is in posterior standard deviations, and draws are thinned evenly until they are all but independent,
    as far as their smallest effective sample size tells (see `draws.num_independent`). That goes by the order of the
    draws: data that come sorted, or class after class, look like a chain that hardly moves. Declare them `independent`.

    **Arguments:**

    - `posteriors`: by name, what `posterior_tree` takes, or a `FittedGuide`, as `fit_guide` returns one too, of which
      `num_draws` are drawn with `key`.
      Of a `Posterior` with weights a fifth as many draws are taken as are effective: resampled draws have the error of
      the particles in common, which so adds no more than a fifth to their variance.
    - `reference`: the name of one of them, or other draws, for instance of a long run of NUTS. Left out, there are no
      distances.
    - `with_chains`: the names (`"reference"` among them) whose arrays are `(chain, draw, ...)`, not `(draw, ...)`.
    - `independent`: the names whose draws are independent, in whatever order they come; those of a `FittedGuide` are.
    - `log_weights`: by name, `(draw,)`, log p(data, draw) - log q(draw), for k-hat. A `FittedGuide` has its own.
    - `num_draws`: to draw of a guide, and the most that distances look at.
    - `distances`: functions of two arrays `(draw, coordinate)`.
    - `level`: probability that exact draws are called different, over the distances of one posterior (Bonferroni).

    **Raises:** `InputError` where a name is unknown or twice, draws have no site of the same shape in common, or a
    guide comes without a key.
    """
    (num_draws,) = check_sizes(num_draws=num_draws)
    log_weights = named(log_weights or {}, "log_weights")
    key = None if key is None else check_key(key)
    given: dict[str, Any] = named(posteriors, "posteriors")
    with_chains, independent = ({str(name) for name in names} for names in (with_chains, independent))
    if isinstance(reference, int | np.integer) and not isinstance(reference, bool):
        reference = str(reference)
    level = number_in("level", level, 0, 1, expected="a probability between 0 and 1", remedy="for example 0.05")
    if reference is not None and not isinstance(reference, str):
        if "reference" in given:
            raise InputError("reference", expected="its name", got="draws, and a name", remedy="pass 'reference'")
        given, reference = {**given, "reference": reference}, "reference"
    of_names = [
        ("reference", [reference] if reference else []),
        ("with_chains", with_chains),
        ("independent", independent),
        ("log_weights", log_weights),
    ]
    for argument, names in of_names:
        check_names(argument, names, given, remedy="name one of posteriors")

    trees: dict[str, xr.DataTree] = {}
    own_verdicts: dict[str, str] = {}
    for i, (name, draws) in enumerate(given.items()):
        if isinstance(draws, FittedGuide):
            independent.add(name)
            draws, own_weights = weighted_draws(draws, jax.random.fold_in(check_key(key), i), num_draws)
            if own_weights is not None:
                log_weights.setdefault(name, own_weights)
        elif isinstance(draws, Posterior):
            own_verdicts[name] = draws.verdict
            if not has_equal_weights(draws):
                independent.add(name)
                draws = conditioned_tree(draws, key=key, num_draws=max(FEWEST_DRAWS, round(_SHARE * draws.ess)))
        trees[name] = posterior_tree(draws, with_chains=name in with_chains)
    sites, left_out = _common_sites(trees, reference)
    sizes = {name: tree["posterior"].sizes for name, tree in trees.items()}
    weights = {name: check_weights(w, sizes[name]["chain"] * sizes[name]["draw"]) for name, w in log_weights.items()}
    rows = rows_of(trees, sites, reference, independent, weights, num_draws, distances, level)
    rows = tuple(
        replace(row, verdict=f"{row.verdict}; {own_verdicts[row.name]} by its own account")
        if row.name in own_verdicts
        else row
        for row in rows
    )
    return PosteriorComparison(rows, tuple(sites), left_out, reference, trees)


def _common_sites(
    trees: dict[str, xr.DataTree], reference: str | None
) -> tuple[list[str], dict[str, dict[str, tuple[int, ...]]]]:
    """Sites, in the order of the reference, that all have with the same shape; and the shapes of all others by name."""
    check_some("posteriors", trees, expected="at least one", remedy="pass draws by name")
    shapes = {
        name: {str(site): array.shape[2:] for site, array in tree["posterior"].data_vars.items()}
        for name, tree in trees.items()
    }
    first = shapes[reference if reference is not None else next(iter(trees))]
    sites = [site for site, shape in first.items() if all(other.get(site) == shape for other in shapes.values())]
    if not sites:
        got = "; ".join(
            f"{name}: {', '.join(f'{s} {shape}' for s, shape in of.items())}" for name, of in shapes.items()
        )
        raise InputError(
            "posteriors", expected="a site that all have, of one shape", got=got, remedy="rename the sites"
        )
    others = {name: {site: shape for site, shape in of.items() if site not in sites} for name, of in shapes.items()}
    return sites, {name: of for name, of in others.items() if of}
