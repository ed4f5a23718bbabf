"""`evidence`: the bound of any NumPyro guide, the log evidence by importance weights, and how far to trust them."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.autoguide import AutoDelta, AutoGuide, AutoGuideList, AutoLaplaceApproximation

from dpm_ppl._common.checks import check_key, check_kind, check_known, check_sizes
from dpm_ppl._common.chunks import chunk_like, chunk_size, in_chunks
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.memory import peak_bytes, sizes_within_budget
from dpm_ppl._common.numpyro_seam import set_up
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl.guides.weighing.forward import Forward
from dpm_ppl.guides.weighing.pair import Drawn, Pair, Trace, laplace
from dpm_ppl.guides.weighing.reference import as_reference, check_placeable, reference_log_weights
from dpm_ppl.guides.weighing.refusals import check_guide, check_model, check_params, running_programs
from dpm_ppl.guides.weighing.result import Evidence

_MOST_PARTICLES = 1024


def evidence(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    params: Mapping[str, Any],
    *args: Any,
    key: PRNGKey,
    num_particles: int = 10_000,
    reference: Mapping[str, Any] | None = None,
    particles_chunk: int | None = None,
    **kwargs: Any,
) -> Evidence:
    """ELBO, log evidence, k-hat and effective sample size of a fitted guide, and upper bounds where draws are at hand.

    Any guide that `Trace_ELBO` takes: NumPyro's own (a Laplace guide by its normal law), programs, guides with
    auxiliary sites and factors. The draws and weights of a key are those of `Trace_ELBO` and `psis_diagnostic`;
    particle i is the same however many there are and in whatever chunks. Calls with other arrays in `params`, `args`
    and `kwargs`, of the same shapes, compile nothing anew; Python's own numbers are part of what is compiled.

    **Arguments:**

    - `params`: values of all param sites of model and guide, as `SVIRunResult.params` has them.
    - `args`, `kwargs`: what model and guide are called with, all data included.
    - `reference`: draws of the posterior from NUTS or elsewhere, `(draw, ...)` or `(chain, draw, ...)` by site, as
      `MCMC.get_samples` gives them. They bound the evidence from above, and see what the guide has lost.
    - `particles_chunk`: how many are looked at side by side; by default at most 1,024, and fewer where the memory
      budget says so. The draws themselves are kept.

    **Raises:** `InputError` for a model without latents or with latents that the guide does not draw, subsampled
    plates, point masses, parameters or draws of something else, and where a log-weight is NaN or +inf: the evidence is
    not finite then.
    """
    num_particles, particles_chunk = check_sizes(num_particles=num_particles, particles_chunk=particles_chunk)
    check_known(params=params, args=args, kwargs=kwargs, key=key, reference=reference)
    key = check_key(key)
    pair, of_model, of_guide = _prepared(model, guide, params, args, kwargs, key)
    given = None
    if reference is not None:
        given = as_reference(reference, of_model, of_guide)
        check_placeable(pair, of_model, of_guide, key)

    drawn = _drawn(pair, key, num_particles, particles_chunk)
    log_weights, log_q = (np.asarray(values, np.float64) for values in (drawn.log_weight, drawn.log_q))
    forward = None
    if given is not None:
        of_reference = reference_log_weights(pair, given, jax.random.fold_in(key, num_particles), particles_chunk)
        forward = Forward.of(of_reference, given.num_chains, float(log_weights.max()))
    draws = {name: np.asarray(values) for name, values in drawn.sites.items()}
    return Evidence.of(pair, log_weights, log_q, draws, forward)


def _prepared(model: Any, guide: Any, params: Any, args: Any, kwargs: Any, key: PRNGKey) -> tuple[Pair, Trace, Trace]:
    """The pair with arrays of JAX, and the traces of both; refused where it has no evidence to give."""
    for name, program in (("model", model), ("guide", guide)):
        check_kind(name, program, Callable, expected="a NumPyro program", remedy="pass the function")
    remedy = "for example params=svi_result.params"
    check_kind("params", params, Mapping, expected="values by site name", remedy=remedy)
    params, args, kwargs = jax.tree.map(_as_jax, (dict(params), args, kwargs))
    pair = Pair(model, guide, params, args, kwargs)
    check_model(pair, key)
    if isinstance(guide, AutoGuide):
        _set_up(guide, key, args, kwargs)
    check_params(pair, key)
    if isinstance(guide, AutoLaplaceApproximation):
        pair = pair._replace(guide=laplace(guide, params))
    return pair, *check_guide(pair, key)


def _as_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


def _set_up(guide: AutoGuide, key: PRNGKey, args: Any, kwargs: Any) -> None:
    if isinstance(guide, AutoDelta) or (
        isinstance(guide, AutoGuideList) and any(isinstance(p, AutoDelta) for p in guide)
    ):
        remedy = "use AutoLaplaceApproximation, whose law around the mode has one"
        raise InputError("guide", expected="a law with a density", got="AutoDelta, a point mass", remedy=remedy)
    with running_programs("guide"):
        set_up(guide, key, args, kwargs)


def _drawn(pair: Pair, key: PRNGKey, num: int, particles_chunk: int | None) -> Drawn:
    most = chunk_size(num, _MOST_PARTICLES)

    def bytes_of(chunk: int) -> int:
        return peak_bytes(_draws, pair, key, *chunk_like(chunk_size(num, chunk)))

    size = chunk_size(num, *sizes_within_budget(bytes_of, (particles_chunk, most)))

    def of_chunk(number: Array) -> Drawn:
        drawn = _draws(pair, key, number)
        log_weights = np.asarray(drawn.log_weight)
        failed = np.isnan(log_weights) | np.isposinf(log_weights)
        if failed.any():
            raise InputError(
                "model and guide",
                expected="a finite evidence",
                got=f"log-weights that are NaN or +inf for {failed.sum():,} of {len(failed):,} draws",
                remedy="let priors be proper and the guide stay where both have a density; fit it anew where it failed",
            )
        return drawn

    drawn = in_chunks(of_chunk, size, num)
    if np.isneginf(np.asarray(drawn.log_weight)).all():
        raise InputError(
            "model and guide",
            expected="a finite evidence",
            got=f"weights of 0 for all {num:,} draws",
            remedy="see whether the data can come from the model, and the guide draws where it has a density",
        )
    return drawn


@eqx.filter_jit
def _draws(pair: Pair, key: PRNGKey, number: Array) -> Drawn:
    return jax.vmap(lambda index: pair.weigh(jax.random.fold_in(key, index)))(number)
