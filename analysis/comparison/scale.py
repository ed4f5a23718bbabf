"""`Scale`, the unit of a comparison: how figures read in it, and which of two is the better one."""

import math
from dataclasses import dataclass

from dpm_ppl._common.wording import AT_LEAST, AT_MOST
from dpm_ppl.data.units import Units
from dpm_ppl.estimates.standard_errors import Estimate

IMPOSSIBLE, FINITE = 1, 2
"""Kinds of figures, the better the larger, above that of what is not a number."""


@dataclass(frozen=True, eq=False)
class Scale:
    """The unit of a comparison: bits/dim, where less is better, for data with levels; bits per datum otherwise."""

    units: Units
    datum: str

    @property
    def unit(self) -> str:
        """Its name."""
        return f"bits/{self.datum}" if self.units.num_levels is None else "bits/dim"

    @property
    def better(self) -> str:
        """Whether the higher or the lower figure is the better one."""
        return "higher" if self.units.num_levels is None else "lower"

    def figure(self, bits: Estimate) -> Estimate:
        """A log-density of standardised data in bits per datum, in the unit of the table."""
        return bits if self.units.num_levels is None else self.units.bits_per_dim(bits * math.log(2))

    def advantage(self, bits: Estimate) -> Estimate:
        """A difference of log-densities in bits per datum, in that unit; what is positive stays positive."""
        return bits if self.units.num_levels is None else bits / self.units.num_coordinates

    def difference(self, nats: Estimate) -> Estimate:
        """A difference of log-densities in nats, in that unit."""
        return self.advantage(nats / math.log(2))

    @property
    def side(self) -> str:
        """What a lower bound of the log-likelihood is in this unit: `at least`, or `at most` for a code length."""
        return AT_LEAST if self.units.num_levels is None else AT_MOST

    def kind(self, figure: Estimate) -> int:
        """`FINITE`, or less: `IMPOSSIBLE` for a log-density of minus infinity, and 0 for what is no figure at all."""
        goodness = self._goodness(figure)
        return FINITE if math.isfinite(goodness) else IMPOSSIBLE if goodness == -math.inf else 0

    def order(self, figure: Estimate) -> tuple[int, float]:
        """What sorts figures in the unit of the table from the worst to the best."""
        kind = self.kind(figure)
        return kind, self._goodness(figure) if kind == FINITE else 0.0

    def _goodness(self, figure: Estimate) -> float:
        return float(figure.mean) if self.units.num_levels is None else -float(figure.mean)

    def words(self, figure: Estimate, side: str = "") -> str:
        """Mean, standard error and unit, behind `side`."""
        return figure.format(self.unit, side=side).partition(" (")[0]
