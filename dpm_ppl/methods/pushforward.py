"""Point masses of a guide that are really a change of variables from its auxiliary sites, as NumPyro's own guides are.

`a ~ q(a)` and `z ~ Delta(f(a), log_density=-log |det df/da|)` are together one draw of z and its density.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.distributions import Delta, ExpandedDistribution, Independent

from dpm_ppl._common.types import Array, Batch, PRNGKey
from dpm_ppl.methods.sites import Probe, parts_of


def change_of_variables(guide: Callable, params: dict[str, Any], x_0: Batch, probe: Probe) -> frozenset[str]:
    """The auxiliary sites and the point masses of a guide whose densities are those of a change of variables.

    It is seen at one datum, `(1, *event)`, where the map is differentiable; that it is one to one is not seen.
    """
    latents = {name: site for name, site in probe.guide.items() if site.kind == "sample" and not site.is_observed}
    auxiliary = [name for name, site in latents.items() if site.is_auxiliary and name not in probe.model]
    points = [name for name, site in latents.items() if Delta in site.laws and name in probe.model]
    if not auxiliary or not points:
        return frozenset()
    bound = partial(handlers.substitute(guide, data=params), x_0)
    seen = (has_its_density(bound, auxiliary, points, jax.random.key(seed)) for seed in range(2))
    return frozenset(auxiliary + points) if all(seen) else frozenset()


def has_its_density(guide: Callable[[], Any], auxiliary: list[str], points: list[str], key: PRNGKey) -> bool:
    """Whether the point masses at `points` state the density of the map from the `auxiliary` sites, at one draw.

    `guide` takes no arguments any more, and has its parameters.
    """
    seeded = handlers.seed(guide, key)
    drawn = handlers.trace(seeded).get_trace()
    fixed = {name: site["value"] for name, site in drawn.items() if site["type"] == "sample" and name not in points}
    start, as_sites = ravel_pytree({name: fixed[name] for name in auxiliary})

    def to_points(values: Array) -> tuple[Array, Array]:
        sites = handlers.trace(handlers.substitute(seeded, data=fixed | as_sites(values))).get_trace()
        at = [sites[name] for name in points]
        log_density = sum(jnp.sum(site["fn"].log_prob(site["value"])) for site in at)
        return jnp.concatenate([jnp.ravel(site["value"]) for site in at]), jnp.asarray(log_density)

    are_bare = all({type(part) for part in parts_of(drawn[name]["fn"])} <= _BARE for name in points)
    if not are_bare or not jnp.issubdtype(start.dtype, jnp.floating):
        return False
    jacobian, log_density = jax.jacfwd(to_points, has_aux=True)(start)
    if jacobian.shape[0] != jacobian.shape[1]:
        return False
    return bool(jnp.isclose(log_density, -jnp.linalg.slogdet(jacobian)[1], rtol=1e-3, atol=1e-3))


_BARE = {Delta, Independent, ExpandedDistribution}
