"""What a user should know of data before a density is fitted to them, one sentence each."""

import numpy as np

from dpm_ppl._rows import read
from dpm_ppl.data import Dataset

MOST_ROWS, MOST_NUMBERS = 20_000, 2**22
"""Data that are looked at, and numbers in them."""
FAR = 50.0
"""Interquartile ranges from the median, beyond which values decide a column's scale by themselves."""


def some_rows(dataset: Dataset, most: int = MOST_ROWS) -> np.ndarray:
    """Data as given, `(row, coordinate)`, at most so many, from all over the array."""
    most = max(1, min(most, MOST_NUMBERS // max(1, dataset.units.num_coordinates)))
    places = np.unique(np.linspace(0, dataset.num_points - 1, most).astype(int))
    rows = read(dataset.source, slice(None) if dataset.num_points <= most else places)
    return rows.reshape(len(rows), -1).astype(np.float64)


def smallest_spread(dataset: Dataset, most: int = 1000) -> float:
    """The distance from one value to the next in standardised units, in the coordinate where it is smallest.

    It is the middle of all distances between neighbouring distinct values among `most` of the data, and the width of an
    interval for what is dequantised. What the data say of structure finer than that is little.
    """
    units = dataset.units
    scale, widths = np.broadcast_to(units.scale, units.event_shape).ravel(), units.widths.ravel()
    values = some_rows(dataset, most)
    gaps = [widths[i] or _middle_gap(values[:, i]) for i in range(values.shape[1])]
    spreads = [gap / one for gap, one in zip(gaps, scale, strict=True) if gap > 0]
    return float(min(spreads, default=1.0))


def _middle_gap(values: np.ndarray) -> float:
    distinct = np.unique(values)
    return float(np.median(np.diff(distinct))) if len(distinct) > 1 else 0.0


def remarks(known: Dataset, heldout: Dataset) -> tuple[str, ...]:
    """What keeps figures of these data from meaning what they seem to; nothing where all is well.

    Seen are held-out data that are few, and among up to 20,000 of the others: coordinates with values that repeat, do
    not vary, are whole, sums of others, or far beyond the rest; and data that occur more than once. Where a density
    is fitted to values that repeat, it has no limit: the narrower its spikes at these, the better it scores.
    """
    found = [] if heldout.num_points >= 30 else [f"only {heldout.num_points} held-out data: errors are rough"]
    if not known.units.is_real:
        return (*found, *_copies(some_rows(known)))
    values = some_rows(known)
    is_real = known.units.widths.ravel() == 0
    distinct = np.array([len(np.unique(column)) for column in values.T])
    constant = is_real & (distinct == 1)
    repeating = is_real & ~constant & (2 * distinct <= len(values))
    whole = is_real & ~constant & ~repeating & (values == np.floor(values)).all(axis=0)
    cure = "no limit to a density there; whole numbers with --levels or in a .csv are dequantised"
    for which, what in ((repeating, f"repeat exact values, {cure}"), (whole, f"are whole numbers, {cure}")):
        if which.any():
            found.append(f"{_coordinates(known, which)} {what}")
    if constant.any():
        found.append(f"{_coordinates(known, constant)} do not vary, no limit to a density there: drop them")
    return (
        *found,
        *_far(known, values, is_real & (distinct > 1)),
        *_dependent(known, values, is_real),
        *_copies(values),
    )


def _copies(values: np.ndarray) -> list[str]:
    num_copies = len(values) - len(np.unique(values, axis=0))
    if 20 * num_copies < len(values):
        return []
    return [f"{num_copies:,} of {len(values):,} data are copies of others: held-out data may be among those trained on"]


def _far(dataset: Dataset, values: np.ndarray, which: np.ndarray) -> list[str]:
    """Coordinates whose scale is that of a few values, as of a law without variance."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    far = which & (high > low) & (np.abs(values - middle).max(axis=0) > FAR * (high - low))
    if not far.any():
        return []
    return [f"{_coordinates(dataset, far)} hold values {FAR:.0f} interquartile ranges off: try logarithms or ranks"]


def _dependent(dataset: Dataset, values: np.ndarray, is_real: np.ndarray) -> list[str]:
    """Whether some coordinates follow from others."""
    varying = is_real & (np.ptp(values, axis=0) > 0)
    if not 2 <= varying.sum() <= min(500, len(values) - 1):
        return []
    correlation = np.corrcoef(values[:, varying], rowvar=False)
    if np.linalg.eigvalsh(correlation)[0] > 1e-10:
        return []
    return ["some coordinates are sums of others, no limit to a density there: drop them"]


def _coordinates(dataset: Dataset, which: np.ndarray) -> str:
    places = np.flatnonzero(which)
    columns = dataset.units.columns
    is_vector = len(dataset.event_shape) <= 1
    if not is_vector:
        return f"{len(places):,} of {which.size:,} coordinates"
    names = [columns[i].name if columns else str(i) for i in places[:5]]
    more = f" and {len(places) - 5:,} more" if len(places) > 5 else ""
    return f"columns {', '.join(names)}{more}"
