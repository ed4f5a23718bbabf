"""Which pairs of a model and a guide have no evidence that weights could give, and why; found before any of it is run.

Seen are the sites, laws, plates and parameters of both. Whether the weights of a pair that passes have a mean is for
their diagnostics to say.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro.distributions import Delta, ImproperUniform, MaskedDistribution, Unit, biject_to
from numpyro.infer.autoguide import AutoGuide

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import dependent_on
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl._common.wording import listed
from dpm_ppl.guides.weighing.pair import Laplace, Pair, Trace, is_auxiliary, latents_of
from dpm_ppl.methods.pushforward import has_its_density
from dpm_ppl.methods.sites import parts_of

KINDS_WITH_VALUES = ("param", "mutable")
_MODEL, _GUIDE = "model", "guide"


def check_model(pair: Pair, key: PRNGKey) -> None:
    """Raise `InputError` where a model has no posterior that a guide could be weighed against."""
    (trace,) = shapes_of(_MODEL, lambda given: [_trace(given.model, given, key)], pair)
    latents = latents_of(trace)
    if not latents:
        remedy = "its evidence is its likelihood: numpyro.infer.util.log_density gives it"
        raise InputError(_MODEL, expected="latent variables", got="none", remedy=remedy)
    _check_plates(_MODEL, trace)
    for name in latents:
        if ImproperUniform in map(type, parts_of(trace[name]["fn"])) and not _is_told(pair, trace, name, key):
            raise InputError(
                _MODEL,
                expected="a proper posterior, without which there is no evidence",
                got=f"the improper site {name!r}, of which the data say nothing",
                remedy="give it a prior",
            )


def check_params(pair: Pair, key: PRNGKey) -> None:
    """Raise `InputError` unless `params` are values of all param sites of a pair, in their shapes, and of no others."""
    trace = {name: site for one in shapes_of_pair(pair._replace(params={}), key) for name, site in one.items()}
    sites = {name: site["value"] for name, site in trace.items() if site["type"] in KINDS_WITH_VALUES}
    expected = f"values of {listed(list(sites)) or 'no site'}, the param sites of model and guide"
    remedy = "pass svi_result.params, or svi.get_params(state), of this guide"
    for faults, word in ((sites.keys() - pair.params.keys(), "none of"), (pair.params.keys() - sites.keys(), "also")):
        if faults:
            raise InputError("params", expected=expected, got=f"{word} {listed(sorted(faults))}", remedy=remedy)
    for name, value in sites.items():
        shapes, found = ([np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (value, pair.params[name]))
        if shapes != found:
            shapes, found = (listed(list(map(str, one))) for one in (shapes, found))
            raise InputError("params", expected=f"{name!r} of shape {shapes}", got=f"shape {found}", remedy=remedy)


def check_guide(pair: Pair, key: PRNGKey) -> tuple[Trace, Trace]:
    """Raise `InputError` where weights of a guide would not average to the evidence.

    **Returns:** the traces of model and guide, the former with what the latter draws, and shapes in place of values.
    """
    of_model, of_guide = shapes_of_pair(pair, key)
    _check_plates(_GUIDE, of_guide)
    fault = next(_faults(pair, of_model, of_guide, key), None)
    if fault is not None:
        got, remedy = fault
        expected = "a guide that draws every latent of the model, from a density that it states"
        raise InputError(_GUIDE, expected=expected, got=got, remedy=remedy)
    with running_programs("model and guide"):
        eqx.filter_eval_shape(lambda given: given.weigh(key), pair)
    return of_model, of_guide


def shapes_of_pair(pair: Pair, key: PRNGKey, placed: dict[str, Any] | None = None) -> list[Trace]:
    """The traces that `check_guide` returns, of any pair.

    **Arguments:** `placed`, values of sites of the guide that are not drawn, of which shapes will do.
    """

    def look(given: Pair, placed: dict[str, Any] | None = None) -> list[Trace]:
        of_guide = _trace(given.guide, given, key, placed or {})
        return [_trace(handlers.replay(given.model, of_guide), given, key), of_guide]

    return shapes_of("model and guide" if placed is None else "reference", look, pair, placed)


def shapes_of(argument: str, look: Callable[..., list[Trace]], *given: Any) -> list[Trace]:
    """The traces that `look` makes of what is given; whatever goes wrong there is an `InputError` of that argument."""
    found: list[Trace] = []

    def values(*given: Any) -> list[Any]:
        found.extend(look(*given))
        return [{name: site["value"] for name, site in trace.items() if "value" in site} for trace in found]

    with running_programs(argument):
        shapes = eqx.filter_eval_shape(values, *given)
    return [
        {name: site | {"value": of_trace.get(name)} for name, site in trace.items()}
        for trace, of_trace in zip(found, shapes, strict=True)
    ]


@contextlib.contextmanager
def running_programs(argument: str) -> Iterator[None]:
    """Within it, whatever goes wrong in the user's programs is an `InputError` of this argument."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of their own code, or of NumPyro's for it
        raise InputError(
            argument,
            expected="programs of these params, args and kwargs",
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'without a message'}",
            remedy="pass what SVI was run with, data as arrays",
        ) from error


def _trace(program: Callable[..., Any], pair: Pair, key: PRNGKey, placed: Any = None) -> Any:
    seeded = handlers.seed(handlers.substitute(program, data=pair.params), key)
    whole = handlers.substitute(handlers.substitute(seeded, data=placed or {}), substitute_fn=_of_improper)
    return handlers.trace(whole).get_trace(*pair.args, **pair.kwargs)


def _of_improper(site: dict[str, Any]) -> Array | None:
    """A value for a law that cannot be drawn from."""
    if site["type"] == "sample" and ImproperUniform in map(type, parts_of(site["fn"])):
        return jnp.zeros(site["fn"].shape())
    return None


def _is_told(pair: Pair, trace: Trace, name: str, key: PRNGKey) -> bool:
    """Whether any other site's density depends on the value at this one; nothing is computed."""
    latents = {one: jnp.zeros(trace[one]["value"].shape, trace[one]["value"].dtype) for one in latents_of(trace)}

    def others(x_0: Array) -> dict[str, Array]:
        placed = handlers.substitute(handlers.seed(pair.model, key), data=pair.params | latents | {name: x_0})
        sites = handlers.trace(placed).get_trace(*pair.args, **pair.kwargs)
        return {
            one: jnp.sum(site["fn"].log_prob(site["value"]))
            for one, site in sites.items()
            if site["type"] == "sample" and one != name
        }

    return bool(dependent_on(others, latents[name]))


def _check_plates(argument: str, trace: Trace) -> None:
    for name, site in trace.items():
        if site["type"] == "plate" and site["args"][1] not in (None, site["args"][0]):
            size, subsample_size = site["args"]
            raise InputError(
                argument,
                expected="plates of all data, whose evidence is meant",
                got=f"plate {name!r} with {subsample_size:,} of {size:,}",
                remedy="pass all data, and let subsample_size be an argument of model and guide, as large as the plate",
            )


def _faults(pair: Pair, of_model: Trace, of_guide: Trace, key: PRNGKey) -> Iterator[tuple[str, str]]:
    """What is wrong with a guide, and what to do about it."""
    drawn = latents_of(of_guide)
    for name in latents_of(of_model):
        if name not in of_guide:
            is_discrete = of_model[name]["fn"].support.is_discrete
            kind = "discrete latent" if is_discrete else "latent"
            yield f"the {kind} {name!r} of the model, which it does not draw", _remedy_for(is_discrete)
        elif of_model[name]["fn"].shape() != of_guide[name]["fn"].shape():
            shapes = f"{of_model[name]['fn'].shape()} in the model and {of_guide[name]['fn'].shape()} in the guide"
            yield f"site {name!r} of shape {shapes}", "let both have the same plates and events"
    for name in drawn:
        if name not in of_model and not is_auxiliary(of_guide[name]):
            yield f"site {name!r}, which the model lacks", "mark it with infer={'is_auxiliary': True}, or leave it out"
    own = [name for name in drawn if is_auxiliary(of_guide[name]) and name not in of_model]
    points = [name for name in drawn if Delta in map(type, parts_of(of_guide[name]["fn"]))]
    for name in points:
        if is_auxiliary(of_guide[name]):
            yield f"site {name!r}, a point mass", "fit an AutoLaplaceApproximation as a guide of its own"
    unmasked = [name for name in own if MaskedDistribution not in map(type, parts_of(of_guide[name]["fn"]))]
    num_own, num_points = (sum(math.prod(of_guide[name]["value"].shape) for name in names) for names in (own, points))
    surplus = num_own - sum(_num_free(of_model[name]) for name in points)
    if surplus >= 0 and isinstance(pair.guide, AutoGuide | Laplace):
        return
    has_factor = any(Unit in map(type, parts_of(site["fn"])) for site in of_guide.values() if site["type"] == "sample")
    if surplus < 0:
        yield f"site {points[0]!r}, a point mass", "draw it from a law with a density, as AutoNormal does"
    elif points and surplus == 0 and num_own == num_points:
        bound = partial(handlers.substitute(pair.guide, data=pair.params), *pair.args, **pair.kwargs)
        if not has_its_density(bound, own, points, key):
            remedy = "give Delta the log_density -log |det|, or draw from a TransformedDistribution"
            yield f"site {points[0]!r}, whose density is not that of the map it comes from", remedy
    elif unmasked and surplus > 0 and not has_factor:
        remedy = "give the model the same site, with its law in the reverse direction, or add a numpyro.factor for it"
        yield f"auxiliary site {unmasked[0]!r}, of which the model has no law", remedy


def _remedy_for(is_discrete: bool) -> str:
    if is_discrete:
        return "sum it out of the model, as MixtureSameFamily does, or draw it in the guide"
    return "draw it in the guide"


def _num_free(site: dict[str, Any]) -> int:
    """How many numbers of a latent are free: one less of a simplex than it has."""
    shape = site["value"].shape
    return math.prod(biject_to(site["fn"].support).inverse_shape(shape))
