"""Importance weights of forward trajectories (paper, eq. 6-9; Jarzynski 1997; Neal 2001).

    w = p(x_0 ... x_T) / q(x_1 ... x_T | x_0),    p(x_0) = E_q w.

The forward kernel is reversible, so q(x_t | x_{t-1}) = T_pi(x_{t-1} | x_t) pi(x_t) / pi(x_{t-1}), and the ratios of pi
cancel along the path:

    log w = log pi(x_0) + sum_{t=1..T} log p(x_{t-1} | x_t) - log T_pi(x_{t-1} | x_t).

Both laws of a term speak of the same x_{t-1}. A model that has learned nothing has terms of exactly zero, the fixed
edge has a first term of zero, and float32 loses nothing on normalisers that cancel.
"""

import abc
from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, ndtri
from numpyro.distributions import Distribution

from dpm_ppl._errors import InputError
from dpm_ppl._inputs import whole_number
from dpm_ppl._sums import accurate_sum, add_exactly
from dpm_ppl._types import Array, Batch, Cost, Datum, PRNGKey
from dpm_ppl.chains import dtype_of_draws
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.steps import Step
from dpm_ppl.terms import log_stationary

Move = Callable[[Distribution, PRNGKey], Batch]


def log_increment(diffusion: Diffusion, x_prev: Batch, x_t: Batch, step: Step) -> Cost:
    """log p(x_{t-1} | x_t) - log T_pi(x_{t-1} | x_t) of one step, per element of the batch."""
    law = diffusion.reverse(x_t, step)
    increment = law.log_prob(x_prev) - diffusion.transition(x_t, step).log_prob(x_prev)
    return jnp.where(step.t == 1, 0.0, increment) if diffusion.edge == "fixed" else increment


class AbstractProposal(eqx.Module):
    """A way to draw independent, positive, unbiased estimates of p(x_0), each from `num_particles` trajectories."""

    num_particles: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def independent_particles(self) -> bool:
        """Whether each estimate is the mean of `num_particles` weights that are drawn independently of one another."""

    @abc.abstractmethod
    def log_weight(self, diffusion: Diffusion, x_0: Datum, key: PRNGKey, *, steps_chunk: int | None) -> Cost:
        """The logarithm of one such estimate for one datum."""

    @abc.abstractmethod
    def check(self, diffusion: Diffusion) -> None:
        """Raise `InputError` where the proposal cannot work with this diffusion."""


def independent(law: Distribution, key: PRNGKey) -> Batch:
    """Every particle moves by itself."""
    return law.sample(key)


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


def log_weight_of_paths(
    diffusion: Diffusion, x_0: Batch, key: PRNGKey, move: Move, steps_chunk: int | None, *, x_1: Batch | None = None
) -> Cost:
    """Log-weights of one forward path from every element of `x_0`, `(particle, *event)`, by way of `x_1` if given.

    The path is drawn `steps_chunk` steps at a time; the network is then evaluated at all of them side by side, so
    memory depends on the chunk alone.
    """
    steps, counts = _chunks(diffusion.steps, steps_chunk)
    start = as_noise(diffusion, x_0)

    def forward(x_prev: Array, inputs: tuple[Step, Array]) -> tuple[Array, Array]:
        step, _ = inputs
        x_t = move(diffusion.transition(x_prev, step), jax.random.fold_in(key, step.t))
        if x_1 is not None:
            x_t = jnp.where(step.t == 1, x_1, x_t)
        return x_t, x_t

    def over_chunk(carry: tuple[Array, Array, Array], chunk: tuple[Step, Array]):
        first, *total = carry
        last, path = jax.lax.scan(forward, first, chunk)
        before = jnp.concatenate([first[None], path[:-1]])
        terms = jax.vmap(lambda prev, x_t, step: log_increment(diffusion, prev, x_t, step))(before, path, chunk[0])
        within = chunk[1].reshape(-1, *[1] * (terms.ndim - 1))
        return (last, *add_exactly(*total, accurate_sum(jnp.where(within, terms, 0.0)))), None

    at_data = log_stationary(diffusion, x_0)
    (_, high, low), _ = jax.lax.scan(over_chunk, (start, at_data, jnp.zeros_like(at_data)), (steps, counts))
    return high + low


def _chunks(steps: Step, chunk_size: int | None) -> tuple[Step, Array]:
    """The steps as `(chunk, step)`, and which of them count: the last chunk is filled up by step T."""
    num_steps = len(steps)
    num_chunks = -(-num_steps // (chunk_size or num_steps))
    length = -(-num_steps // num_chunks)  # of even chunks, which leaves the fewest to fill up
    index = jnp.arange(num_chunks * length).reshape(num_chunks, length)
    return steps[jnp.minimum(index, num_steps - 1)], index < num_steps


def as_noise(diffusion: Diffusion, x_0: Batch) -> Batch:
    """Data in the dtype that the forward chain's draws have."""
    return x_0.astype(dtype_of_draws(diffusion))
