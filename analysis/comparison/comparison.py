"""Methods side by side on the same data: bounds, likelihoods, and paired differences, each with its standard error.

`compare_bounds` takes what was measured and returns a `Comparison`: an order, a verdict in words, tables for every
medium, and a data frame of all figures.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_exact, check_some, named
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.wording import AT_LEAST, listed, percentage, short_repr
from dpm_ppl.analysis.comparison.entry import Entry, entry_of, known_better
from dpm_ppl.analysis.comparison.scale import FINITE, Scale
from dpm_ppl.analysis.comparison.tables import differences_table, figures_table, summary_table
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.bounds import Bound
from dpm_ppl.estimates.standard_errors import Estimate, finite_or_none, is_above
from dpm_ppl.estimates.subsets import extended_mean
from dpm_ppl.evaluation import Measured
from dpm_ppl.likelihood import LogLikelihood

Result = Measured | LogLikelihood | Bound | ArrayLike

MOST_EXCESS = 3.0
"""Standard errors above the exact value from which on a figure is called wrong."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods on the same data, by their best figure; what is minus infinity, and then what is no number, comes last.

    - `entries`: what is known of each.
    - `behind` `[i][j]`: by how much method j is better than method i, paired over data, in the unit of the table and
      counted so that a positive number is always in favour of j.
    - `ranks`: first and last place of each that these differences leave open, two standard errors being enough to tell.
    """

    __repr__ = short_repr

    scale: Scale
    entries: list[Entry]
    behind: list[list[Estimate]]
    exact: Estimate | None

    @property
    def ranks(self) -> list[tuple[int, int]]:
        """First and last place of each that the paired differences leave open."""
        places = range(len(self.entries))
        better = [sum(self._is_known_better(j, i) for j in places if j != i) for i in places]
        worse = [sum(self._is_known_better(i, j) for j in places if j != i) for i in places]
        return [(1 + above, len(places) - below) for above, below in zip(better, worse, strict=True)]

    @property
    def rank_words(self) -> list[str]:
        """The ranks as they are shown: `1`, or `1 to 2`."""
        return [str(first) if first == last else f"{first} to {last}" for first, last in self.ranks]

    def _is_known_better(self, j: int, i: int) -> bool:
        kinds = [self.scale.kind(self.entries[place].best) for place in (i, j)]
        return known_better(self.behind[i][j]) if kinds == [FINITE, FINITE] else kinds[1] > kinds[0]

    @property
    def exceeding(self) -> list[str]:
        """Methods whose figure lies above the exact value by more than `MOST_EXCESS` paired standard errors."""
        return [one.name for one in self.entries if any(map(_exceeds, (one.gap, one.gap_of_K)))]

    def verdicts(self) -> list[str]:
        """What the figures say, in words."""
        where = "log-likelihood may lie far above" if self.scale.side == AT_LEAST else "code length may lie far below"
        said = [self._standing(place) for place in range(len(self.entries))]
        for one in self.entries:
            if one.doubtful_share and one.is_importance_weighted and one.is_finite:
                said.append(
                    f"{one.name}: {percentage(one.doubtful_share)} of the {len(one.places):,} data with importance "
                    f"weights are not reliable; its {where}."
                )
        return [*said, self._against_exact()] if self.exact is not None else said

    def _standing(self, place: int) -> str:
        one, gap = self.entries[place], self.behind[place][0]
        words = self.scale.words(one.best, one.side)
        if not one.is_finite:
            rank, alike = self.rank_words[place], self._tied(place)
            tied = f"; tied with {listed(alike)}" if alike else ""
            return f"{one.name} (rank {rank}): {words}, for its log-likelihood is {one.failures}{tied}."
        if place == 0:
            has = " has the best figure" if len(self.entries) > 1 else ""
            return f"{one.name}{has}: {words}, {one.kind_of_best}."
        if not math.isfinite(float(gap.mean)):
            return f"{one.name}: {words}; its paired difference from {self.entries[0].name} is not known."
        where = f"{self.scale.words(gap)} behind it" if gap.mean >= 0 else f"{self.scale.words(-gap)} ahead of it"
        told = known_better(gap) or known_better(-gap)
        return f"{one.name} is {where}, paired over data{'.' if told else ': not distinguishable from it.'}"

    def _tied(self, place: int) -> list[str]:
        kinds = [self.scale.kind(one.best) for one in self.entries]
        return [one.name for i, one in enumerate(self.entries) if i != place and kinds[i] == kinds[place] != FINITE]

    def _against_exact(self) -> str:
        if self.exceeding:
            return f"Above the exact value, and so not to be believed: {', '.join(self.exceeding)}."
        unknown = [one.name for one in self.entries if any(map(_is_unknown, (one.gap, one.gap_of_K)))]
        but = f" Not known of {listed(unknown)}." if unknown else ""
        return f"No bound exceeds the exact value by more than {MOST_EXCESS:g} paired standard errors.{but}"

    def tables(self) -> list[TextTable]:
        """The order, the figures of each method, and all paired differences."""
        names = [one.name for one in self.entries]
        lacking = [row[0] for row in self.behind]
        return [
            summary_table(self.scale, self.entries, self.rank_words, lacking, self.exact),
            figures_table(self.scale, self.figures()),
            differences_table(self.scale, names, self.behind),
        ]

    def figures(self) -> list[dict[str, Any]]:
        """Every figure as one row: method, figure, particles, value, se, unit, data and draws behind it, and more."""
        rows = [row for one in self.entries for row in one.figures()]
        if self.exact is not None:
            value, se = float(self.exact.mean), float(self.exact.se)
            about = {"unit": self.scale.unit, "num_points": self.exact.num}
            rows.append({"method": "exact", "figure": "exact", "value": value, "se": se, **about})
        return rows

    def to_dataframe(self) -> Any:
        """`figures` as a pandas data frame."""
        import pandas

        return pandas.DataFrame(self.figures())

    def to_markdown(self) -> str:
        """All tables, one below the other."""
        return "\n".join(table.to_markdown() for table in self.tables())

    def to_latex(self) -> str:
        """All tables, with the rules of the package booktabs."""
        return "\n\n".join(table.to_latex() for table in self.tables())

    def as_json(self) -> dict[str, Any]:
        """One object: order, ranks, figures, paired differences and verdicts; null for what is not finite."""
        names = [one.name for one in self.entries]
        return {
            "unit": self.scale.unit,
            "better": self.scale.better,
            "order": names,
            "ranks": dict(zip(names, map(list, self.ranks), strict=True)),
            "figures": [{key: finite_or_none(value) for key, value in row.items()} for row in self.figures()],
            "behind": {
                name: {other: value.as_json() for other, value in zip(names, row, strict=True) if other != name}
                for name, row in zip(names, self.behind, strict=True)
            },
            "exceeding_exact": self.exceeding,
            "verdicts": self.verdicts(),
        }

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group(*(table.rich() for table in self.tables()), *self.verdicts())

    def __str__(self) -> str:
        return self.to_markdown() + "\n" + "\n".join(self.verdicts())

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.verdicts())
        return "".join(table._repr_html_() for table in self.tables()) + words


def compare_bounds(
    results: Mapping[Any, Result],
    *,
    units: Units | None = None,
    exact: ArrayLike | None = None,
    datum: str = "point",
) -> Comparison:
    """Compare what was measured of several methods on the same data.

    Each is ranked by its best lower bound: the importance-weighted log-likelihood where it is above K by more than the
    error of the difference, K otherwise.

    **Arguments:**

    - `results`: by name, `Measured` as `measure` returns it; or, for data without a `Dataset`, what `log_likelihood` or
      `bound` returns, or the log-likelihoods `(datum,)` themselves, nats, which other software has computed.
    - `units`: how the data were standardised, where no result says so.
    - `exact`: log-likelihoods `(datum,)` under the law of the data, nats, where they are known and no result has them.
    - `datum`: what one datum is called, as in bits/point.

    **Raises:** `InputError` for no results, results of another kind, and results of different data.
    """
    check_some("results", results, expected="at least one method", remedy="pass {'name': result}")
    known = None if exact is None else np.asarray(exact, np.float64)
    if known is not None:
        check_exact(known)
    results = named(results, "results")
    given = [result for result in results.values() if isinstance(result, Measured)]
    for other in given:
        _check_units(given[0].units if units is None else units, other.units)
    units = given[0].units if given else units or Units((), "continuous", np.zeros(()), np.ones(()))
    scale = Scale(units, given[0].scores.unit.partition("/")[2] if given else datum)
    entries = [entry_of(name, result, scale, known) for name, result in results.items()]
    num_points = {one.name: len(one.K_values) for one in entries}
    if len(set(num_points.values())) > 1:
        raise InputError(
            "results", expected="the same data for all", got=f"{num_points} data", remedy="score all on the same data"
        )
    exacts = [one.measured.scores.exact for one in entries if one.measured.scores.exact is not None]
    exact_figure = scale.figure(exacts[0]) if exacts else None
    behind = [[scale.difference(_difference(two, one)) for two in entries] for one in entries]
    order = sorted(range(len(entries)), key=lambda i: scale.order(entries[i].best), reverse=True)
    rows = [[behind[i][j] for j in order] for i in order]
    return Comparison(scale, [entries[i] for i in order], rows, exact_figure)


def _check_units(a: Units, b: Units) -> None:
    alike = (a.event_shape, a.kind, a.num_levels) == (b.event_shape, b.kind, b.num_levels)
    if not (alike and np.allclose(a.shift, b.shift) and np.allclose(a.scale, b.scale)):
        raise InputError(
            "results",
            expected="densities of data that were standardised alike",
            got="data of another kind, shift or scale",
            remedy="score all on one Dataset",
        )


def _difference(a: Entry, b: Entry) -> Estimate:
    """The mean of a - b over all data, nats, of their best values.

    Where only some of the data have weights, K of all and the exact values help (see `extended_mean`).
    """
    both, places_a, places_b = np.intersect1d(a.places, b.places, return_indices=True)
    remedy = "take weights of the first data of each"
    check_some("results", both, expected="weights of some of the same data", remedy=remedy)
    exact, control = a.measured.scores.exact_values, _minus(a.control, b.control)
    others = [] if exact is None else [_minus(exact, (a.control + b.control) / 2)]
    return extended_mean(_minus(a.values[places_a], b.values[places_b]), both, control, others)


def _minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, and 0 where both are the same infinity: on such a datum neither is better."""
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, a - b)


def _is_unknown(gap: Estimate | None) -> bool:
    return gap is not None and (math.isnan(gap.mean) or (math.isfinite(gap.mean) and math.isnan(gap.se)))


def _exceeds(gap: Estimate | None) -> bool:
    return gap is not None and is_above(-gap, MOST_EXCESS)
