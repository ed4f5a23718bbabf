"""The sites of a program, its laws, plates and shapes, found by tracing it without any arithmetic."""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro.distributions import Distribution, ImproperUniform, constraints
from numpyro.primitives import Messenger

from dpm_ppl._common.numpyro_seam import dependent_on, is_left_by_scan, scans_backwards
from dpm_ppl._common.types import Array
from dpm_ppl.methods.entries import Entries, entries_of

Constraint = constraints.Constraint

ELEMENTWISE = (
    type(constraints.boolean),
    constraints.greater_than,
    constraints.less_than,
    constraints.interval,
    constraints.integer_interval,
    constraints.integer_greater_than,
)
"""Supports that say of each number by itself, and without tolerance, whether it belongs to them."""


class TracedSite(NamedTuple):
    """A sample, param or mutable site of a trace, without its values; what follows `kind` is of sample sites."""

    kind: str
    is_observed: bool = False
    holds_data: bool = False
    """Whether it observes the data, or numbers of them."""
    entries: np.ndarray | None = None
    """Of a site that observes some of them, or reshaped ones: the places in the flattened data, shaped as its value."""
    row_plates: frozenset[str] = frozenset()
    """Of such a site: the plates along which each element holds numbers of its own datum alone."""
    is_auxiliary: bool = False
    is_scaled: bool = False
    is_fixed: bool = False
    """Whether a latent site has a value that is not drawn from its law, by a handler such as `substitute`."""
    is_backwards: bool = False
    """Whether it stands in a scan in reverse."""
    reads_data: bool = False
    """Whether the law of a latent site of the model, drawn before the data, depends on them."""
    plates: frozenset[tuple[str, int]] = frozenset()
    """Name and size of each plate around it."""
    plate_dims: dict[str, int] = {}
    """And the axis of each among those of the batch, from the right."""
    event_dim: int = 0
    law_shape: tuple[int, ...] = ()
    value_shape: tuple[int, ...] = ()
    laws: frozenset[type] = frozenset()
    """The classes of its law and of all that this is made of."""
    support: Constraint | None = None
    """Of one element."""


Trace = dict[str, TracedSite]


class Probe(NamedTuple):
    """The sites of model and guide for so many data."""

    num_points: int
    size: int
    """How many numbers these data are."""
    model: Trace
    guide: Trace


def probe(model: Callable, guide: Callable, params: dict[str, Any], x_0: Array) -> Probe:
    """Both programs with these params, the model replaying what the guide has drawn."""
    seeded = handlers.substitute(handlers.seed(model, 1), data=params)
    found = []

    def traced_model(x_0: Array) -> dict[str, dict[str, Any]]:
        return _traced(seeded, x_0)

    def look() -> dict[str, Any]:
        drawn: Any = _traced(handlers.substitute(handlers.seed(guide, 0), data=params), x_0)
        traced = _traced(handlers.replay(seeded, drawn), x_0)
        found.extend(_sites_of(trace, x_0) for trace in (traced, drawn))
        return {}

    jax.eval_shape(look)
    of_model, of_guide = found
    if any(site.is_observed and not site.holds_data for site in of_model.values()):
        _find_entries(of_model, entries_of(traced_model, x_0), x_0)
    readers, fixed = _alone(seeded, x_0, {name for name, site in of_model.items() if site.holds_data})
    for name, site in of_model.items():
        of_model[name] = site._replace(reads_data=name in readers, is_fixed=name in fixed)
    return Probe(len(x_0), x_0.size, of_model, of_guide)


def sites_of(model: Callable, params: dict[str, Any], x_0: Array) -> Trace:
    """The sites of a model alone, with these params."""
    found: list[Trace] = []

    def look() -> dict[str, Any]:
        found.append(_sites_of(_traced(handlers.substitute(handlers.seed(model, 0), data=params), x_0), x_0))
        return {}

    jax.eval_shape(look)
    return found[0]


def element_support(law: Distribution) -> Constraint | None:
    """The support of one element of a law's values."""
    support = law.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


def within(support: Constraint | None, values: Any) -> Any:
    """Whether each value belongs to the support, where that can be told of each by itself; what is not a number may."""
    return support(values) | (values != values) if isinstance(support, ELEMENTWISE) else True


def all_within(trace: dict[str, dict[str, Any]]) -> Array:
    """Whether all values of a trace lie in their supports; outside them many laws give nonsense, not a density of 0."""
    sites = [site for site in trace.values() if site["type"] == "sample"]
    return jnp.asarray([jnp.all(within(element_support(site["fn"]), site["value"])) for site in sites]).all()


def parts_of(law: Any) -> Iterator[Distribution]:
    """A law, and the laws that it transforms, masks, expands, mixes and so on."""
    if isinstance(law, Distribution):
        yield law
        for part in vars(law).values():
            for one in part if isinstance(part, list | tuple) else [part]:
                yield from parts_of(one)


class _Mark(Messenger):
    """Marks the sites that a scan in reverse leaves behind, and latent sites that come with a value."""

    is_backwards = False

    def process_message(self, msg: dict[str, Any]) -> None:
        backwards = scans_backwards(msg)
        if backwards is not None:
            self.is_backwards = backwards
        elif is_left_by_scan(msg):
            msg["is_backwards"] = self.is_backwards
        elif msg["type"] == "sample" and msg["value"] is not None:
            msg["is_fixed"] = not msg["is_observed"]
        elif msg["type"] == "sample" and ImproperUniform in map(type, parts_of(msg["fn"])):
            msg["value"] = jnp.zeros(msg["fn"].shape())  # it cannot be drawn from, and has to be named


def _traced(program: Callable, x_0: Array) -> dict[str, dict[str, Any]]:
    with _Mark(), handlers.trace() as trace:
        program(x_0)
    return trace


def _find_entries(model: Trace, entries: Entries, x_0: Array) -> None:
    """Note in the sites of a model which numbers of the data its sites observe."""
    for name, places in entries.items():
        site = model[name]
        if site.holds_data:
            continue
        datum = places // max(1, x_0[0].size)
        along = {
            plate: np.moveaxis(datum, places.ndim - site.event_dim + dim, 0) for plate, dim in site.plate_dims.items()
        }
        apart = {
            plate
            for plate, rows in along.items()
            if (rows == np.arange(len(rows)).reshape(-1, *[1] * (rows.ndim - 1))).all()
        }
        model[name] = site._replace(holds_data=True, entries=places, row_plates=frozenset(apart))


def _alone(model: Callable, x_0: Array, of_data: set[str]) -> tuple[set[str], set[str]]:
    """The latent sites of a model drawn by itself that, before it observes the data, depend on them; those fixed."""
    fixed = set()

    def before(x_0: Array) -> dict[str, Any]:
        sites = [site for site in _traced(model, x_0).values() if site["type"] == "sample"]
        fixed.update(site["name"] for site in sites if site.get("is_fixed"))
        latents = takewhile(lambda site: site["name"] not in of_data, sites)
        return {site["name"]: site["value"] for site in latents if not site["is_observed"]}

    try:
        return dependent_on(before, x_0), fixed
    except NotImplementedError:  # a law that only has a density
        return set(), fixed


def _holds(site: dict[str, Any], x_0: Array) -> bool:
    return site["is_observed"] and site["value"] is x_0


def _sites_of(trace: dict[str, dict[str, Any]], x_0: Array) -> Trace:
    kinds = ("sample", "param", "mutable")
    return {name: _site(site, x_0) for name, site in trace.items() if site["type"] in kinds}


def _site(site: dict[str, Any], x_0: Array) -> TracedSite:
    if site["type"] != "sample":
        return TracedSite(site["type"])
    law = site["fn"]
    return TracedSite(
        kind="sample",
        is_observed=site["is_observed"],
        holds_data=_holds(site, x_0),
        is_auxiliary=bool(site["infer"].get("is_auxiliary", False)),
        is_scaled=site["scale"] is not None,
        is_fixed=site.get("is_fixed", False),
        is_backwards=site.get("is_backwards", False),
        plates=frozenset((frame.name, frame.size) for frame in site["cond_indep_stack"]),
        plate_dims={frame.name: frame.dim for frame in site["cond_indep_stack"]},
        event_dim=law.event_dim,
        law_shape=tuple(law.shape()),
        value_shape=np.shape(site["value"]),
        laws=frozenset(type(part) for part in parts_of(law)),
        support=element_support(law),
    )
