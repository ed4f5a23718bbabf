"""What the library takes from NumPyro beyond what NumPyro documents, each piece with the reason for it.

Nothing else in the library may lean on such names: where a new version of NumPyro moves one, a test of
`tests/_common/test_numpyro_seam.py` fails, and this is the file to mend. Where NumPyro has gained a documented way,
take it and delete the piece here.

The first part is for type checkers alone: NumPyro's draws and log-densities are arrays, but typed as `ArrayLike`, which
no array annotation accepts.
"""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import optax
from jax.typing import ArrayLike
from numpyro import handlers
from numpyro.distributions import biject_to, constraints
from numpyro.infer import MCMC, SVI
from numpyro.infer.autoguide import AutoContinuous, AutoGuide, AutoGuideList
from numpyro.infer.elbo import ELBO
from numpyro.infer.svi import SVIState
from numpyro.infer.util import get_importance_trace
from numpyro.ops.provenance import eval_provenance
from numpyro.primitives import Messenger

from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.types import Array

if TYPE_CHECKING:

    class Distribution(dist.Distribution):
        """NumPyro's, with what its methods give."""

        def sample(self, key: Array | None, sample_shape: tuple[int, ...] = ()) -> Array: ...
        def rsample(self, key: Array | None, sample_shape: tuple[int, ...] = ()) -> Array: ...
        def log_prob(self, value: ArrayLike, intermediates: Any = None) -> Array: ...
        def icdf(self, q: ArrayLike) -> Array: ...
        def enumerate_support(self, expand: bool = True) -> Array: ...
        def mask(self, mask: ArrayLike) -> "Distribution": ...
        def to_event(self, reinterpreted_batch_ndims: int | None = None) -> "Distribution": ...
        @property
        def mean(self) -> Array: ...

    class Normal(Distribution, dist.Normal):
        """NumPyro's, likewise."""

        loc: Array
        scale: Array

    class BernoulliLogits(Distribution, dist.BernoulliLogits):
        """NumPyro's, likewise."""

        logits: Array

    class CategoricalLogits(Distribution, dist.CategoricalLogits):
        """NumPyro's, likewise."""

        logits: Array
        probs: Array

    def sample(
        name: str, fn: dist.Distribution, obs: ArrayLike | None = None, infer: dict[str, Any] | None = None
    ) -> Array:
        """`numpyro.sample`."""
        ...

    def subsample(data: ArrayLike, event_dim: int) -> Array:
        """`numpyro.subsample`."""
        ...

    def eqx_module[M](name: str, nn_module: M) -> M:
        """`numpyro.contrib.module.eqx_module`."""
        ...

    def prng_key() -> Array:
        """`numpyro.prng_key`; there is one wherever a program is seeded."""
        ...

    def kl_divergence(p: dist.Distribution, q: dist.Distribution) -> Array:
        """`numpyro.distributions.kl_divergence`."""
        ...
else:
    from numpyro import prng_key, sample, subsample  # noqa: F401
    from numpyro.contrib.module import eqx_module  # noqa: F401
    from numpyro.distributions import (  # noqa: F401
        BernoulliLogits,
        CategoricalLogits,
        Distribution,
        Normal,
        kl_divergence,
    )

# Training.


def params_site(name: str) -> str:
    """The param site at which `eqx_module(name, module)` registers a module's trainable part; NumPyro only has code."""
    return f"{name}$params"


def is_set_up_by_trace(svi: SVI) -> bool:
    """Whether `svi.init`, called inside of a compiled program, has left traced arrays behind in its constraints.

    `init` notes the constraints of the params on the `SVI` object itself, as the argument of a `partial`.
    """
    return is_traced(getattr(svi.constrain_fn, "args", ()))


def num_kept(state: SVIState) -> jax.Array:
    """The optimiser's own count of updates: every NumPyro optimiser's state is a pair that begins with it."""
    return state.optim_state[0]


def dropping_what_is_not_finite(svi: SVI) -> SVI:
    """A program after its `init`, with an optimiser that stays as it is where loss or gradient are not finite.

    NumPyro's own `stable_update` looks at what the optimiser made and chooses then, which would double the time of an
    update of a few million parameters. So the `update` of a copy of the optimiser is replaced, which `svi.update` calls
    with the loss. The gradient is judged by its norm, which tells more than its parts: where squares overflow, so would
    Adam's second moments.
    """
    optimiser: Any = copy.copy(svi.optim)

    def update(g: Any, state: Any, value: Any = None) -> Any:
        kept = jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(g))
        return jax.lax.cond(kept, lambda: svi.optim.update(g, state, value=value), lambda: state)

    optimiser.update = update
    guarded = copy.copy(svi)
    guarded.optim = optimiser
    return guarded


# Objectives.


def with_all_particles(bound: ELBO, run: Callable[[Callable, jax.Array], Any]) -> ELBO:
    """The objective with its particles run by `run(particle, keys)`, which `RenyiELBO` takes no argument for."""
    bound = copy.copy(bound)
    bound.vectorize_particles_fn = run
    return bound


def mask_of(law: dist.MaskedDistribution) -> ArrayLike:
    """What a law is masked with; NumPyro names it for itself alone."""
    return law._mask


# Programs.


def scans_backwards(msg: Mapping[str, Any]) -> bool | None:
    """Of the message of a `scan` whether it runs in reverse, its last argument; None for any other message."""
    return bool(msg["args"][-1]) if msg["type"] == "control_flow" else None


def is_left_by_scan(msg: Mapping[str, Any]) -> bool:
    """Whether a message is of a site inside of a `scan`, which is passed on when the scan is done."""
    return bool(msg.get("_control_flow_done", False))


def dependent_on(program: Callable[[jax.Array], dict[str, Any]], x_0: jax.Array) -> set[str]:
    """Which entries of what a function returns depend on its argument; nothing is computed. NumPyro's, undocumented."""
    return {name for name, origins in eval_provenance(program, x_0=x_0).items() if origins}


class HoldingParams(Messenger):
    """Lets no gradient go to the params declared within, where `is_on`."""

    def __init__(self, is_on: bool = True):
        Messenger.__init__(self)
        self._is_on = is_on

    def postprocess_message(self, msg: dict[str, Any]) -> None:
        if self._is_on and msg["type"] == "param":
            msg["value"] = jax.lax.stop_gradient(msg["value"])


def is_numpyros(support: constraints.Constraint | None) -> bool:
    """Whether a constraint is one of NumPyro's own; the classes are private, but all stand in one module."""
    return type(support).__module__ == constraints.__name__


# Posteriors.


def weighed_draw(
    model: Callable, guide: Callable, args: Any, kwargs: Any, params: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The traces of model and guide for one draw of the guide, with the log-density of each site at `log_prob`.

    It is what `psis_diagnostic` weighs by, and experimental there.
    """
    return get_importance_trace(model, guide, args, kwargs, params)


def posterior_law(guide: AutoContinuous) -> Any:
    """The law that an automatic guide has of the latent vector, its params declared on the way.

    `get_posterior` takes params that are there already; this is the method that guides are written by.
    """
    return guide._get_posterior()


def set_up(guide: AutoGuide, key: jax.Array, args: Any, kwargs: Any) -> None:
    """Have an automatic guide look at its model now: what it keeps of it must not come from inside a compiled loop."""
    if guide.prototype_trace is None:
        look = guide if isinstance(guide, AutoGuideList) else guide._setup_prototype  # a list has its guides look too
        handlers.seed(look, key)(*args, **kwargs)


def drawing_from[G: AutoContinuous](guide: G, law: dist.Distribution) -> G:
    """The guide with its unconstrained latents drawn from another law, as a program.

    NumPyro's Laplace guide runs as the point mass that it is while it is fitted, and has its normal law elsewhere.
    """
    drawn: Any = copy.copy(guide)
    drawn._get_posterior = lambda: law
    return drawn


def unconstrained_site(guide: AutoContinuous, latents: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The auxiliary site that a guide makes all latents of, with the value behind these; private in NumPyro.

    It inverts what the guide's `__call__` does: sites in the order, and with the supports, of the trace that it was set
    up with. `guide._unpack_latent.inv` would be the way, but lacks an argument.
    """
    sites: dict[str, Any] = guide.prototype_trace or {}
    values = [biject_to(sites[name]["fn"].support).inv(latents[name]) for name in guide._init_locs]
    return {f"_{guide.prefix}_latent": jnp.concatenate([jnp.ravel(value) for value in values])}


def samples_of(mcmc: MCMC) -> dict[str, Any] | None:
    """The draws by site and chain; None before the first run, which NumPyro answers with an `AssertionError`."""
    try:
        return mcmc.get_samples(group_by_chain=True)
    except AssertionError:
        return None
