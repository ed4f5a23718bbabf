"""Which programs are refused as methods, and why: what would give another likelihood without a word.

Seen are the sites, their laws, plates and shapes, and what depends on the data. Not seen is what happens between them:
a model that has read the data elsewhere, that is another one when it draws, or whose law of x_0 sees what it predicts.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from numpyro.distributions import (
    Delta,
    ImproperUniform,
    IntervalCensoredDistribution,
    LeftCensoredDistribution,
    MaskedDistribution,
    RightCensoredDistribution,
    Unit,
    constraints,
)

from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.numpyro_seam import is_numpyros
from dpm_ppl.methods.sites import Constraint, Probe, Trace, TracedSite, within

_NO_DENSITIES = {
    Unit: "a factor, which is no density",
    ImproperUniform: "which is improper",
    Delta: "a point mass, which has no density",
    MaskedDistribution: "which is masked",
    LeftCensoredDistribution: "which is censored",
    RightCensoredDistribution: "which is censored",
    IntervalCensoredDistribution: "which is censored",
}


def fault_of(probes: Sequence[Probe], params: dict[str, Any], pushed: frozenset[str] = frozenset()) -> str | None:
    """The first fault there is, None for none.

    **Arguments:** `probes`, of different numbers of data, so that only a plate that grows with the data is one of them;
    `pushed`, sites of the guide that are known to have the density they state (`pushes_forward`).
    """
    return next(_faults(probes, params, pushed), None)


def outside_of(model: Trace, x_0: np.ndarray) -> str | None:
    """Data outside the support of a site that observes them, where this does not depend on params or other sites."""
    for name in data_sites(model):
        site = model[name]
        if is_traced(site.support):
            continue
        values = x_0
        if site.entries is not None:  # those of the first datum say which numbers of every one there are
            size = math.prod(x_0.shape[1:])
            values = x_0.reshape(len(x_0), size)[:, site.entries[site.entries < size]]
            if any(np.ndim(end) for end in jax.tree.leaves(site.support)):
                continue
        outside = ~np.broadcast_to(within(site.support, values), values.shape)
        if outside.any():
            return f"site {name!r}, whose support {site.support} lacks {values[outside][0]} of the data"
    return None


def data_sites(model: Trace) -> list[str]:
    """The names of the sites that observe the data: the first that has them as they are, or all that have parts."""
    holding = [name for name, site in model.items() if site.holds_data]
    whole = [name for name in holding if model[name].entries is None]
    return whole[:1] or holding


def _faults(probes: Sequence[Probe], params: dict[str, Any], pushed: frozenset[str]) -> Iterator[str]:
    model, guide = probes[0].model, probes[0].guide
    for name, site in [*guide.items(), *model.items()]:
        if site.kind == "sample":
            yield from (f"site {name!r}, {fault}" for fault in _of_any(site, name in pushed))
        elif params and name not in params:
            yield f"no value in params for {name!r}"
    for name, site in _samples(guide):
        if site.is_observed:
            yield f"site {name!r} of the guide, which is observed"
        if name not in model and name not in pushed:
            yield f"site {name!r} of the guide, which the model lacks"
    of_data = data_sites(model)
    for name, site in _samples(model):
        yield from (f"site {name!r}, {fault}" for fault in _of_model(site, guide.get(name), name in of_data))
    if not of_data:
        yield "no site that observes x_0"
        return
    yield from _uneven(model, of_data, probes[0])
    plates = _growing(of_data[0], probes)
    for name in of_data:
        site, around = model[name], _growing(name, probes)
        if site.law_shape != site.value_shape:
            yield f"site {name!r}, whose law has shape {site.law_shape} for data of shape {site.value_shape}"
        if len(around) != 1:
            yield f"site {name!r} in {'several plates' if around else 'no plate'} as long as the data"
        if around != plates:
            yield f"site {name!r}, which is in another plate than site {of_data[0]!r}"
        if site.entries is not None and not around <= site.row_plates:
            yield f"site {name!r}, whose elements mix numbers of several data"
    for name, site in _samples(model):
        if not site.is_observed and _growing(name, probes) != plates:
            yield f"site {name!r}, which {'all data share' if not _growing(name, probes) else 'is in another plate'}"


def _uneven(model: Trace, of_data: Sequence[str], probe: Probe) -> Iterator[str]:
    """Numbers of the data that are observed more than once, or never."""
    if model[of_data[0]].entries is None:
        return
    seen: set[int] = set()
    for name in of_data:
        places = np.ravel(np.asarray(model[name].entries))
        if len(set(places)) < len(places) or not seen.isdisjoint(places):
            yield f"site {name!r}, which observes numbers of x_0 again"
        seen.update(places.tolist())
    missing, whole = ((number // probe.num_points) for number in (probe.size - len(seen), probe.size))
    if missing:
        yield f"{missing} of the {whole} numbers of a datum, which no site observes"


def _of_any(site: TracedSite, is_pushed: bool) -> Iterator[str]:
    yield from (fault for law, fault in _NO_DENSITIES.items() if law in site.laws and not (is_pushed and law is Delta))
    if site.is_scaled:
        yield "which is scaled or of a subsampled plate"
    if site.is_fixed:
        yield "whose value is fixed, and not drawn from its law"
    if site.is_backwards:
        yield "in a scan with reverse=True, which NumPyro replays in the wrong order"


def _of_model(site: TracedSite, in_guide: TracedSite | None, is_data: bool) -> Iterator[str]:
    if is_data:
        return
    if site.is_observed:
        yield "which observes x_0 again" if site.holds_data else "which observes something else than numbers of x_0"
    elif in_guide is None or in_guide.kind != "sample":
        yield "which the guide lacks"
    elif site.law_shape != in_guide.law_shape:
        yield f"of shape {site.law_shape} in the model and {in_guide.law_shape} in the guide"
    elif _leaves_out(in_guide.support, site.support):
        yield f"which the guide draws from {in_guide.support}, and not from all of {site.support}"
    elif site.reads_data:
        yield "whose law in the model depends on x_0"


def _samples(trace: Trace) -> list[tuple[str, TracedSite]]:
    return [(name, site) for name, site in trace.items() if site.kind == "sample"]


def _growing(name: str, probes: Sequence[Probe]) -> set[str]:
    """The plates around a site of the model that are as long as the data, however many these are."""
    around = [one.model[name].plates if name in one.model else frozenset() for one in probes]
    return set.intersection(
        *(
            {plate for plate, size in plates if size == one.num_points}
            for plates, one in zip(around, probes, strict=True)
        )
    )


def _leaves_out(guide: Constraint | None, model: Constraint | None) -> bool:
    """Whether a guide with this support never draws some values that the model has, as far as supports show it."""
    ours, theirs = _range(guide), _range(model)
    if ours is None or theirs is None:
        known = all(map(is_numpyros, (guide, model)))
        return known and type(guide) is not type(model)
    if ours[0] != theirs[0]:
        return True  # a density and a probability mass
    # An end that params or other sites decide is not known, nan, but finite.
    above = np.any(ours[1] > theirs[1]) or (np.any(np.isnan(ours[1])) and np.all(theirs[1] == -math.inf))
    below = np.any(ours[2] < theirs[2]) or (np.any(np.isnan(ours[2])) and np.all(theirs[2] == math.inf))
    return bool(above or below)


def _range(support: Constraint | None) -> tuple[bool, Any, Any] | None:
    """Whether the values are discrete, and their lower and upper end, of supports that are intervals."""
    if isinstance(support, type(constraints.boolean)):
        return True, 0, 1
    if isinstance(support, type(constraints.real)):
        return False, -math.inf, math.inf
    ends = (constraints.interval, constraints.integer_interval, constraints.greater_than, constraints.less_than)
    if not isinstance(support, (*ends, constraints.integer_greater_than)):
        return None
    lower, upper = (getattr(support, f"{end}_bound", None) for end in ("lower", "upper"))
    return bool(support.is_discrete), _known(lower, -math.inf), _known(upper, math.inf)


def _known(end: Any, without: float) -> Any:
    if end is None:
        return without
    return math.nan if is_traced(end) else np.asarray(end)
