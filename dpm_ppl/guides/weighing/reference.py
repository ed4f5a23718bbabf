"""Draws of the posterior from elsewhere, and what they weigh under a guide: log p(data, z) - log q(z) at a given z.

A guide that has auxiliary sites of its own says so itself, by a method

    reference_log_weight(key, params, latents, *args, **kwargs)

that draws what stands behind one `latents`, a value for each site of the model, and returns the log-weight of it all.
Of other guides the density is evaluated at z: unconstrained, where the guide makes all sites of one vector.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.autoguide import AutoContinuous, AutoGuideList

from dpm_ppl._common.checks import as_jax_holds, check_finite, check_kind
from dpm_ppl._common.chunks import chunk_like, chunk_size, in_chunks
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.memory import peak_bytes, sizes_within_budget
from dpm_ppl._common.numpyro_seam import unconstrained_site
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl._common.wording import listed
from dpm_ppl.guides.weighing.pair import Laplace, Pair, Trace, deterministic_sites, latents_of, posterior_sites
from dpm_ppl.guides.weighing.refusals import shapes_of_pair

METHOD = "reference_log_weight"
_MOST = 256


class Reference(NamedTuple):
    """Draws of each latent site, `(chain x draw, ...)`, chain after chain."""

    draws: dict[str, np.ndarray]
    num_chains: int


def as_reference(given: Any, of_model: Trace, of_guide: Trace) -> Reference:
    """Draws by site, `(draw, ...)` or `(chain, draw, ...)`, as those of the model's latents.

    **Raises:** `InputError` for sites that are missing, unknown or of another shape, and draws that are not finite.
    """
    remedy = "pass mcmc.get_samples(), by the names of the model's sites and in its constrained space"
    check_kind("reference", given, Mapping, expected="draws by site", remedy=remedy)
    names = posterior_sites(of_model, of_guide)
    expected = f"draws of {listed(names)}"
    if missing := [name for name in names if name not in given]:
        raise InputError("reference", expected=expected, got=f"none of {listed(missing)}", remedy=remedy)
    if unknown := [name for name in given if name not in names + deterministic_sites(of_model)]:
        raise InputError("reference", expected=expected, got=f"also {listed(unknown)}", remedy=remedy)
    arrays, leading = {}, set()
    for name in names:
        argument, shape = f"reference, site {name}", of_model[name]["value"].shape
        array = arrays[name] = np.asarray(as_jax_holds(given[name], argument))
        before = array.shape[: array.ndim - len(shape)]
        if array.shape[len(before) :] != shape or len(before) not in (1, 2) or 0 in array.shape:
            expected = f"(draw, *{shape}) or (chain, draw, *{shape})"
            raise InputError(argument, expected=expected, got=f"shape {array.shape}", remedy=remedy)
        check_finite(array, argument)
        leading.add(before)
    if len(leading) > 1:
        got = listed([str(shape) for shape in sorted(leading)])
        raise InputError("reference", expected="as many draws of every site", got=got, remedy=remedy)
    (before,) = leading
    flat = {name: array.reshape(-1, *array.shape[len(before) :]) for name, array in arrays.items()}
    return Reference(flat, before[0] if len(before) == 2 else 1)


def check_placeable(pair: Pair, of_model: Trace, of_guide: Trace, key: PRNGKey) -> None:
    """Raise `InputError` where the guide's density at given latents is not to be had."""
    latents = {name: of_model[name]["value"] for name in posterior_sites(of_model, of_guide)}
    expected = "a guide whose density at a given draw is known"
    remedy = f"give the guide a method {METHOD}, or leave the reference out"
    kind = type(pair.guide).__name__
    left = [] if hasattr(pair.guide, METHOD) else _left_open(pair, latents, key)
    if left:
        got = f"{kind}, with {listed(left)} behind each draw"
        raise InputError("reference", expected=expected, got=got, remedy=remedy)
    try:
        eqx.filter_eval_shape(_log_weight, pair, latents, key)
    except NotImplementedError as error:  # as of flows that go one way only
        raise InputError("reference", expected=expected, got=f"{kind}: {error}", remedy=remedy) from error


def _left_open(pair: Pair, latents: dict[str, Any], key: PRNGKey) -> list[str]:
    """The sites that a guide would still draw, given the latents."""
    placed = jax.eval_shape(partial(_placed, pair.guide), latents)
    _, of_guide = shapes_of_pair(pair, key, placed)
    left = [name for name in latents_of(of_guide) if name not in placed]
    if isinstance(pair.guide, AutoContinuous | AutoGuideList | Laplace):
        left = [name for name in left if name not in latents]  # which follow from what is placed
    return left


def reference_log_weights(pair: Pair, reference: Reference, key: PRNGKey, particles_chunk: int | None) -> np.ndarray:
    """log p(data, z) - log q(z) of every draw, `(draw,)`; +inf where the guide has no density."""
    names, arrays = zip(*reference.draws.items(), strict=True)
    num = len(arrays[0])

    def bytes_of(chunk: int) -> int:
        number, *draws = chunk_like(chunk_size(num, chunk), *arrays)
        return peak_bytes(_log_weights, pair, dict(zip(names, draws, strict=True)), number, key)

    size = chunk_size(num, *sizes_within_budget(bytes_of, (particles_chunk, _MOST)))

    def of_chunk(number: Array, *draws: Array) -> Array:
        return _log_weights(pair, dict(zip(names, draws, strict=True)), number, key)

    log_weights = np.asarray(in_chunks(of_chunk, size, num, *arrays), np.float64)
    failed = np.isnan(log_weights) | np.isneginf(log_weights)
    if failed.any():
        raise InputError(
            "reference",
            expected="draws of this posterior, where model and guide have a density",
            got=f"{failed.sum():,} of {num:,} where they have none, the first number {int(np.argmax(failed))}",
            remedy="compare model and arguments with those that the draws are from",
        )
    return log_weights


@eqx.filter_jit
def _log_weights(pair: Pair, draws: dict[str, Array], number: Array, key: PRNGKey) -> Array:
    return jax.vmap(lambda latents, number: _log_weight(pair, latents, jax.random.fold_in(key, number)))(draws, number)


def _log_weight(pair: Pair, latents: dict[str, Array], key: PRNGKey) -> Array:
    if hasattr(pair.guide, METHOD):
        method: Any = getattr(pair.guide, METHOD)
        return jnp.asarray(method(key, pair.params, latents, *pair.args, **pair.kwargs))
    return pair.weigh(key, _placed(pair.guide, latents)).log_weight


def _placed(guide: Any, latents: dict[str, Any]) -> dict[str, Any]:
    """The sites of a guide from which all others of it follow, with the values behind these latents."""
    if isinstance(guide, AutoGuideList):
        return {name: value for part in guide for name, value in _placed(part, latents).items()}
    guide = guide.guide if isinstance(guide, Laplace) else guide
    return unconstrained_site(guide, latents) if isinstance(guide, AutoContinuous) else latents
