"""The mean over all data of a number that is known for some of them: the regression estimator of survey sampling."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.estimates.widening import standard_error

FEWEST_FOR_SLOPES = 10
"""Known values from which on slopes are fitted to them; of fewer, values are taken to differ from the control by a
constant."""
_PRIOR_VALUES = 5
"""How many values the prior, slopes of zero, is worth."""
_UNSEEN = 3.0
"""By how many standard deviations of the steadiest regressor one more datum may differ from all those seen."""


def extended_mean(
    values: ArrayLike, known: np.ndarray, control: ArrayLike, others: Sequence[ArrayLike] = ()
) -> Estimate:
    """The mean over all data of a figure whose `values` are known for the data at the places `known`.

    The others' values are predicted from what is known of all data: `control` `(datum,)`, from which the values differ
    little, and `others`, which that difference may follow. With slopes b on these regressors x, it is the mean of

        value                                                                 of the known, and
        control + b x + mean over the known of (value - control - b x)        of the rest,

    where the slopes in the part of a known datum are fitted to the other known ones, so that nothing is biased however
    few they are (Cochran 1977, chapter 7; cross-fitting). The standard error treats all data as draws. It has three
    parts: the known values as the fit to the others leaves them; the predictions; and one more datum that differs from
    all those known by 3 standard deviations of the steadiest regressor, as few data may miss a minority that is
    unlike them. `num` counts the known values.

    Where `values` or `control` are not all finite it is the mean of `values` alone; but it is not a number where
    `control` is not, for some datum that has no value: a figure that fails on one of all data is none.

    **Raises:** `InputError` where `known` does not give one place to each of the values.
    """
    values, control = np.asarray(values, np.float64), np.asarray(control, np.float64)
    if values.shape != np.shape(known) or len(values) == 0:
        raise InputError(
            "known",
            expected=f"one place for each of the values, shape {values.shape}, and at least one",
            got=f"shape {np.shape(known)}",
            remedy="pass the places of the values' data among all data",
        )
    num, num_all = len(values), len(control)
    if np.isnan(np.delete(control, known)).any():
        return Estimate(math.nan, math.nan, num)
    if num == num_all or not (np.isfinite(control).all() and np.isfinite(values).all()):
        return estimate(values)
    telling = [column for column in (control, *map(np.asarray, others)) if np.isfinite(column).all() and np.ptp(column)]
    regressors = np.reshape(telling, (len(telling), num_all))
    rest = np.setdiff1d(np.arange(num_all), known)
    gains, within, share = values - control[known], regressors[:, known], num / num_all
    slopes, residuals = _fit(within, gains, regressors.var(axis=1))
    shifts = regressors[:, rest].mean(axis=1, keepdims=True) - within
    mean_of_rest = control[rest].mean() + gains.mean() + (slopes * shifts).sum(axis=0).mean()
    predicted = control + slopes.mean(axis=1) @ regressors

    # Grouped by datum, so that the parts are independent and their errors add in squares.
    of_known = standard_error(residuals + share * predicted[known], num - 1 - len(slopes) * (num >= FEWEST_FOR_SLOPES))
    of_rest = (1 - share) * standard_error(predicted) * np.sqrt(num_all / len(rest))
    unseen = (1 - share) * _UNSEEN * regressors.std(axis=1).min() / num if telling else 0.0
    mean = share * values.mean() + (1 - share) * mean_of_rest
    return Estimate(float(mean), float(np.sqrt(of_known**2 + of_rest**2 + unseen**2)), num)


def _fit(within: np.ndarray, gains: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes `(regressor, datum)` of ridge regressions that leave out one datum each, and what they leave of it.

    The prior is that of slopes of zero from a few data of the regressors' `variances`, which are those of all data: it
    must not depend on the datum that is left out. The residuals are scaled such that without regressors they are those
    from the mean of all.
    """
    num, deviations = len(gains), gains - gains.mean()
    if num < FEWEST_FOR_SLOPES:
        return np.zeros_like(within), deviations
    centred = within - within.mean(axis=1, keepdims=True)
    to_slopes = np.linalg.solve(centred @ centred.T + np.diag(_PRIOR_VALUES * variances), centred)
    slopes = to_slopes @ deviations
    residuals = (deviations - slopes @ centred) / (1 - 1 / num - (to_slopes * centred).sum(axis=0))
    return slopes[:, None] - to_slopes * residuals, residuals * (1 - 1 / num)
