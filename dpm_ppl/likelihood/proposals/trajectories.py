"""`Trajectories`: particles that run through the forward chain, one by one or with noise that several share."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, ndtri

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Batch, Cost, Datum, PRNGKey
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.paths import Move, independent, log_weight_of_paths
from dpm_ppl.likelihood.proposals.base import AbstractProposal


def antithetic_noise(law: Distribution, key: PRNGKey) -> Batch:
    """The second half of the particles moves by the noise of the first half with the sign turned."""
    mean = law.mean
    half = jax.random.normal(key, (len(mean) // 2, *mean.shape[1:]), mean.dtype)
    return mean + jnp.sqrt(law.variance) * jnp.concatenate([half, -half])


def stratified_noise(law: Distribution, key: PRNGKey) -> Batch:
    """The particles share out the strata of equal probability, afresh in every coordinate (Latin hypercube)."""
    mean = law.mean
    order_key, place_key = jax.random.split(key)
    stratum = jnp.arange(len(mean)).reshape(-1, *[1] * (mean.ndim - 1))
    stratum = jax.random.permutation(order_key, jnp.broadcast_to(stratum, mean.shape), independent=True)
    place = (stratum + jax.random.uniform(place_key, mean.shape, mean.dtype)) / len(mean)
    # Rounding may bring a place to 0 or 1, where the noise would be infinite: 0 stands for the first eps of a stratum.
    limits = jnp.finfo(mean.dtype)
    place = jnp.clip(place, limits.eps / (2 * len(mean)), 1 - limits.epsneg)
    return mean + jnp.sqrt(law.variance) * ndtri(place)


class Trajectories(AbstractProposal):
    """Forward trajectories q(x_1 ... x_T | x_0), `num_particles` of them moved together.

    `move` is `independent`, or for real data `antithetic_noise` or `stratified_noise`, whose trajectories are each
    distributed as q but depend on one another; only their average counts as a draw.
    """

    move: Move = eqx.field(static=True, default=independent)
    num_particles: int = eqx.field(static=True, default=1, converter=partial(whole_number, "num_particles"))

    def __check_init__(self):
        if self.move is antithetic_noise and self.num_particles % 2:
            raise InputError(
                "num_particles",
                expected="an even number, as noise comes in pairs",
                got=self.num_particles,
                remedy="use 2",
            )

    @property
    def independent_particles(self) -> bool:
        return self.move is independent or self.num_particles == 1

    def check(self, diffusion: Diffusion) -> None:
        diffusion.check_steps_move()
        if self.move is not independent and not diffusion.kernel.reparametrised:
            raise InputError(
                "proposal",
                expected=f"independent particles, as draws of {type(diffusion.kernel).__name__} have no noise to share",
                got=getattr(self.move, "__name__", repr(self.move)),
                remedy="use Trajectories()",
            )

    def log_weight(self, diffusion: Diffusion, x_0: Datum, key: PRNGKey, *, steps_chunk: int | None) -> Cost:
        start = jnp.broadcast_to(x_0, (self.num_particles, *x_0.shape))
        log_weights = log_weight_of_paths(diffusion, start, key, self.move, steps_chunk)
        return logsumexp(log_weights) - jnp.log(self.num_particles)
