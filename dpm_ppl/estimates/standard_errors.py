"""`Estimate`, a number with its standard error; the mean over data and the paired difference of two methods."""

import math
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_known, check_shape, real_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.wording import listed
from dpm_ppl.estimates.widening import standard_error

type Value = float | np.ndarray

RESOLUTION = 1e-5
"""What float32 leaves of a difference of bits."""


@dataclass(frozen=True)
class Estimate:
    """A Monte-Carlo mean, its standard error, and the number of independent values behind both.

    `mean` and `se` are numbers, or arrays of one shape where several means were taken at once. `mean` +- 1.96 `se`
    covers 95 percent: for many values `se` is sd / sqrt(n), for few it is wider (see `estimate`). It is NaN where it
    cannot be known (one value, or infinite values) and 0 for an exact figure.

    Constants may be added and multiplied in. Two estimates may not: they are seldom independent, and their difference
    is `paired_difference` of their values.
    """

    mean: Value
    se: Value
    num: int

    __array_ufunc__ = None  # so that NumPy's numbers leave arithmetic to the methods below

    def __add__(self, constant: SupportsFloat) -> "Estimate":
        return Estimate(self.mean + _constant(constant, "+"), self.se, self.num)

    def __sub__(self, constant: SupportsFloat) -> "Estimate":
        return Estimate(self.mean - _constant(constant, "-"), self.se, self.num)

    def __rsub__(self, constant: SupportsFloat) -> "Estimate":
        return -self + constant

    def __mul__(self, constant: SupportsFloat) -> "Estimate":
        factor = _constant(constant, "*")
        return Estimate(self.mean * factor, self.se * abs(factor), self.num)

    def __truediv__(self, constant: SupportsFloat) -> "Estimate":
        return self * (1.0 / _constant(constant, "/"))

    def __neg__(self) -> "Estimate":
        return self * -1.0

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        if not np.ndim(self.mean):
            return self.format()
        pairs = zip(np.ravel(self.mean), np.ravel(self.se), strict=True)
        each = [Estimate(*pair, self.num).plus_minus() for pair in pairs]
        shape = f"shape {np.shape(self.mean)}, " if np.ndim(self.mean) > 1 else ""
        return f"{listed(each)} ({shape}n = {self.num:,})"

    def format(self, unit: str = "", *, side: str = "") -> str:
        """One line for people, to two digits of the standard error: `2.613 ± 0.012 bits/point (n = 10,000)`.

        `side`, `at least` or `at most`, goes before a bound. What is not a number reads `no figure`.
        """
        figure = self.plus_minus(side=side)
        shown = [figure, unit] if unit and not math.isnan(self.mean) else [figure]
        return f"{' '.join(shown)} (n = {self.num:,})"

    def plus_minus(self, *, side: str = "") -> str:
        """Mean and standard error as `format` rounds them, without unit and count: `2.613 ± 0.012`."""
        mean, se = float(self.mean), float(self.se)
        if math.isnan(mean):
            return "no figure"
        before = f"{side} " if side else ""
        if math.isinf(mean):
            return f"{before}{mean}"
        if math.isnan(se):
            return f"{before}{mean:.4f} ± unknown"
        decimals, margin = 4, ""
        if 0 < se < math.inf:
            decimals = min(max(1 - math.floor(math.log10(se)), 0), 4)
            smallest = 10.0**-decimals
            margin = f" ± {se:.{decimals}f}" if se >= smallest / 2 else f" ± < {smallest:.{decimals}f}"
        return f"{before}{mean:.{decimals}f}{margin}"

    def as_json(self) -> dict[str, float | None]:
        """`{"mean", "se"}` as JSON has them, with null for what is not finite."""
        return {"mean": finite_or_none(float(self.mean)), "se": finite_or_none(float(self.se))}


def finite_or_none(value: Any) -> Any:
    """The value, or None in place of a float that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _constant(value: Any, operation: str) -> float:
    if isinstance(value, Estimate):
        raise InputError(
            f"estimate {operation} estimate",
            expected="a constant beside an estimate",
            got="two estimates, whose common error is unknown",
            remedy="use paired_difference of the values behind both, or estimate of their sum",
        )
    return real_number(f"estimate {operation}", value)


def estimate(values: ArrayLike) -> Estimate:
    """The mean over the leading axis of independent values, in float64, with an error whose 1.96-fold covers 95 %.

    For n values it is sd / sqrt(n), times Student's quantile over 1.96, times 1 + 1.08 skewness^2 / n (Hall 1992; the
    skewness is estimated with a prior): of normal values 2.2 times at n = 10, 1.4 at 20, 1.03 at 100. A value that is
    not a number leaves mean and error not a number, an infinite one an infinite mean without an error: no value is
    left out.

    **Raises:** `InputError` where there is no value to average, and for traced ones.
    """
    check_known(values=values)
    values = np.asarray(values, np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise InputError(
            "values",
            expected="at least one value along the leading axis",
            got=f"shape {values.shape}",
            remedy="pass an array with one entry per draw or per datum",
        )
    with np.errstate(invalid="ignore"):  # infinite values of both signs have no mean
        mean = values.mean(axis=0)
    se = standard_error(values)
    return Estimate(mean, se, len(values)) if mean.ndim else Estimate(float(mean), float(se), len(values))


def paired_difference(a_values: ArrayLike, b_values: ArrayLike) -> Estimate:
    """Mean of a - b over pairs made from the same data or draws, whose shared noise cancels.

    **Raises:** `InputError` where the values do not pair up.
    """
    check_known(a_values=a_values, b_values=b_values)
    a_values, b_values = np.asarray(a_values, np.float64), np.asarray(b_values, np.float64)
    expected = f"one value for each of a_values, shape {a_values.shape}"
    check_shape("b_values", b_values, a_values.shape, expected=expected, remedy="score both on the same data")
    with np.errstate(invalid="ignore"):  # two infinite values have no difference
        return estimate(a_values - b_values)


def is_above(advantage: Estimate, num_errors: float) -> bool:
    """Whether it is positive by so many standard errors; unknown errors tell nothing, but of an infinite advantage."""
    if np.isposinf(advantage.mean):
        return True
    return bool(advantage.mean > num_errors * advantage.se + RESOLUTION)  # False where the error is not a number
