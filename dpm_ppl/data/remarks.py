"""Remarks on data before a density is fitted to them: what is odd, in one sentence each."""

import numpy as np

from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.rows import read

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

    Seen are held-out data that are few, or copies of others; and among up to 20,000 of the others, coordinates with
    values that repeat, do not vary, are whole, number the rows, are sums of others, or far beyond the rest. Where a
    density is fitted to values that repeat, it has no limit: the narrower its spikes at these, the better it scores.
    """
    units, values = known.units, some_rows(known)
    found = [] if heldout.num_points >= 30 else [f"only {heldout.num_points} held-out data: the errors are rough"]
    distinct = np.array([len(np.unique(column)) for column in values.T])
    constant = distinct == 1
    whole = ~constant & (values == np.floor(values)).all(axis=0)
    numbering = whole & (distinct == len(values)) & (np.ptp(values, axis=0) < 2 * known.num_points)
    repeating = ~constant & ~whole & (2 * distinct <= len(values))
    is_density = (units.widths.ravel() == 0) & units.is_real
    limit = "a density has no upper limit there"
    kinds = (
        (f"{{}} of the same value throughout: {limit}; drop what is constant", constant & is_density),
        (f"exact values repeat in {{}}: {limit}; add noise as wide as they are rounded", repeating & is_density),
        (
            f"whole numbers in {{}}: {limit}; --levels, or a .csv of named columns, dequantises them",
            whole & is_density & ~numbering,
        ),
        ("{} numbers the rows: drop it", numbering),
        (
            f"values over {FAR:.0f} interquartile ranges from the median in {{}}: drop what means missing, or try "
            "logarithms or ranks",
            is_density & ~constant & _is_far(values),
        ),
    )
    found += [text.format(units.named(which)) for text, which in kinds if which.any()]
    if _are_dependent(values[:, is_density & ~constant]):
        found.append(f"some coordinates are sums of others: {limit}; drop them")
    return (*found, *_copies(values, heldout))


def _copies(values: np.ndarray, heldout: Dataset) -> list[str]:
    """Whether held-out data are among the others, unless data are so few kinds that this is to be expected."""
    if heldout.units.num_values < len(values) ** 2:
        return []
    known = {row.tobytes() for row in values}
    rows = some_rows(heldout)
    num_copies = sum(row.tobytes() in known for row in rows)
    if 20 * num_copies < len(rows):
        return []
    return [f"{num_copies:,} of {len(rows):,} held-out data are copies of others, on which the model may be trained"]


def _is_far(values: np.ndarray) -> np.ndarray:
    """Coordinates whose scale is that of a few values, as of a law without variance."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    return (high > low) & (np.abs(values - middle).max(axis=0) > FAR * (high - low))


def _are_dependent(values: np.ndarray) -> bool:
    """Whether some coordinates follow from others."""
    if not 2 <= values.shape[1] <= min(500, len(values) - 1):
        return False
    return bool(np.linalg.eigvalsh(np.corrcoef(values, rowvar=False))[0] < 1e-10)
