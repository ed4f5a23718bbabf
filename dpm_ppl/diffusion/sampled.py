"""K from some of its steps, for networks that are slow: T evaluations for each datum may be more than it needs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_key, check_kind, check_sizes
from dpm_ppl._common.chunks import keys_of, over_data
from dpm_ppl._common.sums import accurate_sum, map_chunks, place_at
from dpm_ppl._common.types import Array, Batch, Cost, Datum, Int, PerDatum, PerStep, PRNGKey
from dpm_ppl.diffusion.lattice import Lattice
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import drawn_edge, end_divergence, step_divergence
from dpm_ppl.methods.base import check_scored
from dpm_ppl.schedules.steps import Step

EVEN_SHARE = 0.2
"""Of the steps; no divergence weighs more than five times what it would if all were spread evenly."""
LEAST_LOG_SNR, TINY = -10.0, 1e-6
"""Below it steps tell hardly anything apart, however far it falls: the last one may fall to minus infinity."""
_STEPS_CHUNK = 64


def sampled_bound(
    diffusion: StepLaws,
    x_0: Batch | np.ndarray,
    key: PRNGKey,
    *,
    num_sampled_steps: int = 50,
    data_chunk: int | None = None,
) -> PerDatum:
    """An unbiased estimate of K of every datum, nats, from the divergences at `num_sampled_steps` of its T - 1 steps.

    The steps of a datum are spread over the chain in proportion to the fall of the log-signal-to-noise ratio, a fifth
    of them evenly, and start at a random place of its own. So the values of different data are independent, and the
    standard error over data includes what the steps that were left out might have said. For a mean over many data that
    is small beside the spread of the data; the value of a single datum may lie above its log-likelihood.

    **Arguments:** `x_0`, standardised data `(datum, *event_shape)`.

    **Raises:** `InputError` for what is no diffusion, and data that do not fit it.
    """
    remedy = "sampled_bound(diffusion, x_0, key)"
    check_kind("diffusion", diffusion, StepLaws, expected="a Diffusion", remedy=remedy)
    key, sizes = check_key(key), check_sizes(num_sampled_steps=num_sampled_steps, data_chunk=data_chunk)
    num_sampled_steps, data_chunk = sizes
    x_0 = check_scored(diffusion, x_0)  # pyright: ignore[reportArgumentType]: always a Diffusion
    return over_data(_sampled_bound, diffusion, x_0, key, num_sampled_steps, data_chunk=data_chunk)


@eqx.filter_jit
def _sampled_bound(
    diffusion: StepLaws, x_0: Array, number: Int[Array, " datum"], key: PRNGKey, data_chunk: int, num_sampled_steps: int
) -> PerDatum:
    def of_datum(pair: tuple[Array, PRNGKey]) -> Cost:
        return _of_datum(diffusion, *pair, num_sampled_steps)

    return jax.lax.map(of_datum, (x_0, keys_of(key, number)), batch_size=min(data_chunk, len(x_0)))


def _of_datum(diffusion: StepLaws, x_0: Datum, key: PRNGKey, num_sampled_steps: int) -> Cost:
    start_key, noise_key, edge_key = jax.random.split(key, 3)
    steps, places = diffusion.steps, jnp.arange(num_sampled_steps)
    probabilities = _probabilities(steps)
    index = place_at(probabilities, (places + jax.random.uniform(start_key)) / num_sampled_steps)
    points = Lattice(noise_key, x_0.shape, diffusion.event_dim)

    def at_step(pair: tuple[Array, Array]) -> Cost:
        place, index = pair
        return step_divergence(diffusion, diffusion, x_0, steps[index + 1], points(place)) / probabilities[index]

    divergences = map_chunks(at_step, (places, index), _STEPS_CHUNK)
    edge = drawn_edge(diffusion, x_0, edge_key)
    return edge - accurate_sum(divergences) / num_sampled_steps - end_divergence(diffusion, x_0)


def _probabilities(steps: Step) -> PerStep:
    """Of looking at t = 2..T: a step's divergence goes with the fall of the log-SNR where the network knows little."""
    log_snr = jnp.maximum(steps.log_snr, LEAST_LOG_SNR)
    fall = jnp.maximum(log_snr[:-1] - log_snr[1:], 0.0)
    even = jnp.full_like(fall, 1 / len(fall))
    return jax.lax.stop_gradient(EVEN_SHARE * even + (1 - EVEN_SHARE) * fall / jnp.maximum(fall.sum(), TINY))
