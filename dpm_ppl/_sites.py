"""What the sites of a model and a guide must be like, for data to be scored one by one."""

from typing import Any, NamedTuple

import numpy as np
from numpyro.distributions import MaskedDistribution

from dpm_ppl._types import Array


class SiteFacts(NamedTuple):
    """A site of a trace, without its values."""

    kind: str
    is_observed: bool
    holds_data: bool
    is_auxiliary: bool
    is_scaled: bool
    is_masked: bool
    plates: frozenset[tuple[str, int]]
    """Name and size of each plate around it."""
    shape: tuple[int, ...]
    """Of its log-densities."""


Trace = dict[str, SiteFacts]


def facts_of(trace: dict[str, dict[str, Any]], x_0: Array) -> Trace:
    """The facts of the sample and param sites."""
    return {name: _facts(site, x_0) for name, site in trace.items() if site["type"] in ("sample", "param")}


def fault_of(model: Trace, guide: Trace, num_points: int, params: dict[str, Any]) -> str | None:
    """What keeps a program from being scored datum by datum, seen on `num_points` data; None if nothing does.

    Terms that are scaled, masked, shared by data or left out would give a wrong likelihood without a word.
    """
    data = [name for name, site in model.items() if site.holds_data]
    if not data:
        return "no site that observes x_0"
    plates = {plate for name in data for plate in model[name].plates if plate[1] == num_points}
    if not plates:
        return f"site {data[0]!r} in no plate as long as the data"
    for name, site in [*guide.items(), *model.items()]:
        if site.kind == "param" and params and name not in params:
            return f"no value in params for {name!r}"
        fault = _fault_of_site(name, site, name in model, name in guide, num_points) if site.kind == "sample" else None
        if fault is not None:
            return fault
    shared = [name for name, site in model.items() if _is_latent(site) and not plates & site.plates]
    return f"site {shared[0]!r}, which all data share" if shared else None


def has_params(model: Trace, guide: Trace) -> bool:
    """Whether there is anything to train."""
    return any(site.kind == "param" for site in (*model.values(), *guide.values()))


def _fault_of_site(name: str, site: SiteFacts, in_model: bool, in_guide: bool, num_points: int) -> str | None:
    if site.is_scaled:
        return f"site {name!r}, which is scaled or of a subsampled plate"
    if site.is_masked:
        return f"site {name!r}, which is masked"
    if site.is_observed:
        return None
    if not in_guide:
        return f"site {name!r}, which the guide lacks"
    if not in_model and not site.is_auxiliary:
        return f"site {name!r} of the guide, which the model lacks"
    if site.shape[:1] != (num_points,) and site.plates:
        return f"site {name!r}, which does not have one value per datum"
    return None


def _is_latent(site: SiteFacts) -> bool:
    return site.kind == "sample" and not site.is_observed


def _facts(site: dict[str, Any], x_0: Array) -> SiteFacts:
    is_sample = site["type"] == "sample"
    return SiteFacts(
        kind=site["type"],
        is_observed=is_sample and site["is_observed"],
        holds_data=is_sample and site["is_observed"] and site["value"] is x_0,
        is_auxiliary=is_sample and bool(site["infer"].get("is_auxiliary", False)),
        is_scaled=is_sample and site["scale"] is not None,
        is_masked=is_sample and isinstance(site["fn"], MaskedDistribution),
        plates=frozenset((frame.name, frame.size) for frame in site["cond_indep_stack"]) if is_sample else frozenset(),
        shape=np.shape(site["fn"].log_prob(site["value"])) if is_sample and not site["is_observed"] else (),
    )
