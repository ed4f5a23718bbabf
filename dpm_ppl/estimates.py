"""A figure with its standard error."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._errors import InputError

type Figure = float | np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A Monte-Carlo mean, its standard error, and the number of independent values behind both.

    `mean` and `se` are numbers, or arrays of one shape where several means were taken at once. Constants may be added
    and multiplied in; the difference of two estimates is `paired_difference` of their values, which are seldom
    independent. `se` is NaN where it cannot be known (one value, or infinite values) and 0 for an exact figure.
    """

    mean: Figure
    se: Figure
    num: int

    def __add__(self, constant: int | float) -> "Estimate":
        return Estimate(self.mean + constant, self.se, self.num)

    def __sub__(self, constant: int | float) -> "Estimate":
        return self + (-constant)

    def __mul__(self, constant: int | float) -> "Estimate":
        return Estimate(self.mean * constant, self.se * abs(constant), self.num)

    def __truediv__(self, constant: int | float) -> "Estimate":
        return self * (1.0 / constant)

    def __neg__(self) -> "Estimate":
        return self * -1.0

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        return self.format()

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


def estimate(values: ArrayLike) -> Estimate:
    """The mean over the leading axis of independent values, in float64, with its standard error sd / sqrt(n).

    **Raises:** `InputError` where there is no value to average.
    """
    values = np.asarray(values, np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise InputError(
            "values",
            expected="at least one value along the leading axis",
            got=f"shape {values.shape}",
            remedy="pass an array with one entry per draw or per datum",
        )
    num = len(values)
    with np.errstate(invalid="ignore"):  # an infinite value leaves the mean infinite and its error unknown
        mean = values.mean(axis=0)
        se = values.std(axis=0, ddof=1) / np.sqrt(num) if num > 1 else np.full(mean.shape, np.nan)
    return Estimate(mean, se, num) if mean.ndim else Estimate(float(mean), float(se), num)


def paired_difference(a_values: ArrayLike, b_values: ArrayLike) -> Estimate:
    """Mean of a - b over pairs made from the same data or draws, whose shared noise cancels.

    **Raises:** `InputError` where the values do not pair up.
    """
    a_values, b_values = np.asarray(a_values, np.float64), np.asarray(b_values, np.float64)
    if a_values.shape != b_values.shape:
        raise InputError(
            "b_values",
            expected=f"one value for each of a_values, shape {a_values.shape}",
            got=f"shape {b_values.shape}",
            remedy="score both on the same data",
        )
    with np.errstate(invalid="ignore"):  # two infinite values have no difference
        return estimate(a_values - b_values)


def extended_mean(control: ArrayLike, gains: ArrayLike, known: np.ndarray) -> Estimate:
    """The mean over all data of a figure that was compared with another for some of them.

    It is the mean of `control` `(datum,)`, the other figure, plus that of `gains`, what the figure is above it for the
    data whose places are `known`: the difference estimator of survey sampling (Cochran 1977, section 7.10). Its
    standard error treats all data as draws. `num` counts the gains.

    **Raises:** `InputError` where `known` does not give one place to each of the gains.
    """
    control, gains = np.asarray(control, np.float64), np.asarray(gains, np.float64)
    if gains.shape != np.shape(known) or len(gains) == 0:
        raise InputError(
            "known",
            expected=f"one place for each of the gains, shape {gains.shape}, and at least one",
            got=f"shape {np.shape(known)}",
            remedy="pass the places of the gains' data among all data",
        )
    rest = np.delete(control, known)
    share = len(gains) / len(control)
    # Grouped by datum, so that the two parts are independent and their errors add in squares.
    compared = estimate(gains + share * control[known])
    if len(rest) == 0:
        return compared
    others = estimate(rest) * (1 - share)
    se = np.hypot(compared.se, others.se if len(rest) > 1 else 0.0)
    return Estimate(compared.mean + others.mean, float(se), len(gains))
