"""Log-weights of paths through the chain (paper, eq. 6-9; Jarzynski 1997; Neal 2001).

    w = p(x_0 ... x_T) / q(x_1 ... x_T | x_0),    p(x_0) = E_q w.

The forward kernel is reversible, so q(x_t | x_{t-1}) = T_pi(x_{t-1} | x_t) pi(x_t) / pi(x_{t-1}), and the ratios of pi
cancel along the path:

    log w = log pi(x_0) + sum_{t=1..T} log p(x_{t-1} | x_t) - log T_pi(x_{t-1} | x_t).

Both laws of a term speak of the same x_{t-1}. A model that has learned nothing has terms of exactly zero, the fixed
edge has a first term of zero, and float32 loses nothing on normalisers that cancel.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.sums import accurate_sum, add_exactly
from dpm_ppl._common.types import Array, Batch, Cost, PRNGKey
from dpm_ppl.diffusion.sampling import descend, dtype_of_draws, last_step
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import log_null
from dpm_ppl.schedules.steps import Step

Move = Callable[[Distribution, PRNGKey], Batch]


def log_increment(diffusion: StepLaws, x_prev: Batch, x_t: Batch, step: Step) -> Cost:
    """log p(x_{t-1} | x_t) - log T_pi(x_{t-1} | x_t) of one step, per element of the batch."""
    law = diffusion.reverse(x_t, step)
    increment = law.log_prob(x_prev) - diffusion.null_reverse(x_t, step).log_prob(x_prev)
    return jnp.where(step.t == 1, 0.0, increment) if diffusion.edge == "fixed" else increment


def independent(law: Distribution, key: PRNGKey) -> Batch:
    """Every particle moves by itself."""
    return law.sample(key)


def log_weight_of_paths(
    diffusion: StepLaws, x_0: Batch, key: PRNGKey, move: Move, steps_chunk: int | None, *, x_1: Batch | None = None
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
        first, high, low = carry
        last, path = jax.lax.scan(forward, first, chunk)
        before = jnp.concatenate([first[None], path[:-1]])
        terms = jax.vmap(lambda prev, x_t, step: log_increment(diffusion, prev, x_t, step))(before, path, chunk[0])
        within = chunk[1].reshape(-1, *[1] * (terms.ndim - 1))
        return (last, *add_exactly(high, low, accurate_sum(jnp.where(within, terms, 0.0)))), None

    at_data = log_null(diffusion, x_0)
    (_, high, low), _ = jax.lax.scan(over_chunk, (start, at_data, jnp.zeros_like(at_data)), (steps, counts))
    return high + low


def _chunks(steps: Step, chunk_size: int | None) -> tuple[Step, Array]:
    """The steps as `(chunk, step)`, and which of them count: the last chunk is filled up by step T."""
    num_steps = len(steps)
    num_chunks = -(-num_steps // (chunk_size or num_steps))
    length = -(-num_steps // num_chunks)  # of even chunks, which leaves the fewest to fill up
    index = jnp.arange(num_chunks * length).reshape(num_chunks, length)
    return steps[jnp.minimum(index, num_steps - 1)], index < num_steps


def as_noise(diffusion: StepLaws, x_0: Batch) -> Batch:
    """Data in the dtype that the forward chain's draws have."""
    return x_0.astype(dtype_of_draws(diffusion))


@eqx.filter_jit
def simulate_paths(diffusion: StepLaws, key: PRNGKey, num_data: int) -> tuple[Batch, Cost]:
    """Data that the reverse chain makes, and the log-weight of the path that made each."""

    # The weights are summed on the way down, so memory does not grow with T.
    def add(total: tuple[Array, Array], x_prev: Batch, x_t: Batch, step: Step) -> tuple[tuple[Array, Array], None]:
        return add_exactly(*total, log_increment(diffusion, x_prev, x_t, step)), None

    zeros = jnp.zeros(num_data)
    x_1, (high, low), _ = descend(diffusion, key, add, (zeros, zeros), (num_data,))
    x_0 = last_step(diffusion, key, x_1)
    for term in (log_increment(diffusion, x_0, x_1, diffusion.steps[0]), log_null(diffusion, x_0)):
        high, low = add_exactly(high, low, term)
    return x_0, high + low
