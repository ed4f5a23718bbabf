"""How much wider than sd / sqrt(n) a standard error must be, so that its 1.96-fold covers 95 percent.

Student's quantile makes up for the spread being estimated. For skewed values the two-sided interval covers

    95 % - (2 / n) phi(z) z skewness^2 (z^4 + 2 z^2 - 3) / 18 + ...

(Hall 1992, The Bootstrap and Edgeworth Expansion, 2.6 and 3.5): widening it by (z^4 + 2 z^2 - 3) / 18 skewness^2 / n
restores that. Few values show too little of their skewness, as it sits in the tail that they miss, so an estimate of it
leans on a prior: somewhat more than that of the log-density of a Gaussian in one dimension, the most skewed of them.
"""

import numpy as np

type Numbers = np.ndarray | float | int
QUANTILE = 1.96
"""Standard errors to either side in a 95 percent interval."""
_BY_SKEWNESS = (QUANTILE**4 + 2 * QUANTILE**2 - 3) / 18
CHI_SQUARE_1 = 8.0
"""Squared skewness of a chi-square law with one degree of freedom, that of the log-density of N(0, 1)."""
_PRIOR_SQUARED_SKEWNESS, _PRIOR_VALUES = 12.0, 20
"""And how many values the prior is worth. With fewer, or with 8, the errors of ten values that are mostly alike, one in
five being far off, cover less than 93 percent (`benchmarks/coverage`)."""


def widening(num: Numbers, squared_skewness: Numbers, degrees: Numbers | None = None) -> np.ndarray:
    """The factor on sd / sqrt(num); NaN for one value. `degrees` of freedom are num - 1 if not given."""
    from scipy.special import stdtrit

    num = np.asarray(num, np.float64)
    degrees = num - 1 if degrees is None else np.asarray(degrees, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        student = np.where(degrees > 0, stdtrit(np.maximum(degrees, 1), 0.975), np.nan) / QUANTILE
        return np.asarray(student * (1 + _BY_SKEWNESS * squared_skewness / num))


def standard_error(values: np.ndarray, degrees: int | None = None) -> np.ndarray:
    """Of the mean over the leading axis: 1.96 of it to either side cover 95 percent. NaN where it cannot be known."""
    num = len(values)
    if num < 2:
        return np.full(values.shape[1:], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):  # infinite values have no spread, equal ones no skewness
        deviations = values - values.mean(axis=0)
        variance = np.square(deviations).sum(axis=0) / (num - 1)
        skewness = num * (deviations**3).sum(axis=0) / ((num - 1) * max(num - 2, 1) * variance**1.5)
        skewness = np.where(variance > 0, skewness, 0.0)
        squared = (num * skewness**2 + _PRIOR_VALUES * _PRIOR_SQUARED_SKEWNESS) / (num + _PRIOR_VALUES)
        return np.asarray(np.sqrt(variance / num) * widening(num, squared, degrees))
