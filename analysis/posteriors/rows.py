"""`PosteriorRow`, one posterior in a comparison: its mixing, distances to the reference, weights, and a verdict."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from dpm_ppl._common.wording import khat_words, listed
from dpm_ppl.analysis.posteriors.distances import Distance
from dpm_ppl.analysis.posteriors.draws import Mixing, coordinate_names, coordinates, mixing_of, num_independent, thinned
from dpm_ppl.analysis.posteriors.weight_checks import WeightCheck
from dpm_ppl.likelihood.diagnostics import RELIABLE

type DistanceFunction = Callable[[Any, Any], Distance]

FEWEST_COMPARED = 10
"""Independent draws on either side, below which no distance is taken."""
MOST_NAMED = 5
"""Constant coordinates that a verdict names."""
LARGEST_RHAT = 1.01
"""Of chains that agree (Vehtari, Gelman, Simpson, Carpenter and Buerkner 2021, section 4)."""


@dataclass(frozen=True)
class PosteriorRow:
    """One posterior of a comparison.

    - `num_chains`, `num_draws`: draws in all chains together.
    - `constants`: names of the coordinates that never move, which have neither of the next two.
    - `ess`, the smallest bulk effective sample size, and `rhat`, the largest, over the other coordinates. `rhat` is NaN
      for a single chain, and infinite where each of several chains stays at a value of its own.
    - `distances` by name, to the reference; empty for the reference itself, and where fewer than `FEWEST_COMPARED`
      draws are independent. `num_compared`: draws behind them.
    - `weights`, where the model's density was known.
    - `verdict`, in words.
    """

    name: str
    num_chains: int
    num_draws: int
    constants: tuple[str, ...]
    ess: float
    rhat: float
    distances: dict[str, Distance]
    num_compared: int
    weights: WeightCheck | None
    verdict: str


def rows_of(
    trees: Mapping[str, xr.DataTree],
    sites: Sequence[str],
    reference: str | None,
    independent: Collection[str],
    weights: Mapping[str, WeightCheck],
    most_draws: int,
    distances: Sequence[DistanceFunction],
    level: float,
) -> tuple[PosteriorRow, ...]:
    """A row for each of `trees`, by these sites; see `compare_posteriors` for the other arguments."""
    draws = {name: coordinates(tree["posterior"].to_dataset(), sites) for name, tree in trees.items()}
    names = coordinate_names(next(iter(trees.values()))["posterior"].to_dataset(), sites)
    mixing = {name: mixing_of(values, names) for name, values in draws.items()}
    compared = {}
    for name, values in draws.items():
        num_values = values.shape[0] * values.shape[1]
        num = num_values if name in independent else max(1, num_independent(num_values, mixing[name].ess))
        compared[name] = thinned(values, min(most_draws, num), in_order=name not in independent)
    if reference is not None:
        centre, scale = draws[reference].mean(axis=(0, 1)), draws[reference].std(axis=(0, 1))
        compared = {name: (values - centre) / np.where(scale > 0, scale, 1.0) for name, values in compared.items()}
    allowed = level / max(1, len(distances))
    rows = []
    for name, values in draws.items():
        num_chains, num_draws = values.shape[:2]
        found, too_few = [], ""
        if reference is not None and name != reference:
            scarce = min(name, reference, key=lambda one: len(compared[one]))
            if not np.ptp([*compared[name], *compared[reference]], axis=0).any():
                too_few = "the same as the reference, in which nothing varies"
            elif len(compared[scarce]) >= FEWEST_COMPARED:
                found = [distance(compared[name], compared[reference]) for distance in distances]
            else:
                too_few = _too_few(scarce, len(compared[scarce]), draws[scarce].shape[0] * draws[scarce].shape[1])
        rows.append(
            PosteriorRow(
                name=name,
                num_chains=num_chains,
                num_draws=num_chains * num_draws,
                **mixing[name]._asdict(),
                distances={distance.name: distance for distance in found},
                num_compared=len(compared[name]),
                weights=weights.get(name),
                verdict=_verdict(found, mixing[name], weights.get(name), allowed, name == reference, too_few),
            )
        )
    return tuple(rows)


def _too_few(name: str, num: int, num_draws: int) -> str:
    count = f"{num} of the {num_draws:,} of {name}, by the order they come in"
    remedy = f"; if that means nothing, pass independent=[{name!r}]" if num < num_draws else ""
    return f"not compared, for there are too few independent draws ({count}{remedy})"


def _verdict(
    found: Sequence[Distance],
    mixing: Mixing,
    weights: WeightCheck | None,
    allowed: float,
    is_reference: bool,
    too_few: str,
) -> str:
    words = ["the reference"] if is_reference else []
    if mixing.rhat > LARGEST_RHAT:
        words.append(f"its chains disagree (R-hat {mixing.rhat:.3g})")
    if apart := [f"{distance.name} p = {distance.p_value:.2g}" for distance in found if distance.p_value <= allowed]:
        words.append(f"differs from the reference ({', '.join(apart)})")
    elif found:
        words.append("not told from the reference by these draws")
    elif too_few:
        words.append(too_few)
    if weights is not None:
        doubt = "" if weights.verdict == RELIABLE else f"not reliable: {weights.verdict}, "
        words.append(f"importance weights {doubt or 'reliable, '}k-hat {khat_words(weights.khat)}")
    words = words or ["nothing to hold it against"]
    if mixing.constants:
        named = listed(list(mixing.constants), MOST_NAMED)
        words.append(f"without R-hat and effective sample size, for they are constant: {named}")
    return "; ".join(words)
