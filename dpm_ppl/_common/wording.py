"""Words for numbers: percentages, k-hat, failures, lists of names. They read the same wherever they are printed."""

import math

import equinox as eqx
import numpy as np

AT_LEAST, AT_MOST = "at least", "at most"
"""What stands before a bound that may not have reached what it bounds: a log-likelihood, a code length."""


def short_repr(self: object) -> str:
    """The `__repr__` of results: arrays by kind and shape, not by their values."""
    return eqx.tree_pformat(self)


def percentage(share: float) -> str:
    """A share as a whole percentage, which is 0% or 100% for none or all alone."""
    if math.isnan(share):
        return "unknown"
    if 0 < share < 0.005:
        return "< 1%"
    return "> 99%" if 0.995 < share < 1 else f"{share:.0%}"


def listed(names: list[str], most: int = 10) -> str:
    """`a`, `a and b`, `a, b and c`; `a, b and 7 more` for more than `most`."""
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most:,} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def failures(values: np.ndarray) -> str:
    """Which log-densities `(datum,)` are no finite numbers, in words; nothing where all are."""
    kinds = {"not a number": np.isnan, "plus infinity": np.isposinf, "minus infinity": np.isneginf}
    counts = {name: int(is_so(values).sum()) for name, is_so in kinds.items()}
    return listed([f"{name} for {count:,} of {len(values):,} data" for name, count in counts.items() if count])


def khat_words(khat: float) -> str:
    """k-hat to two digits; or that it could not be fitted, or that there is no tail at all."""
    if math.isnan(khat):
        return "unknown"
    return f"{khat:.2f}" if math.isfinite(khat) else "no tail"
