"""The bound in continuous time: the limit of K for more and more steps on a schedule with the same ends.

    K_continuous(x_0) = edge - int_0^1 rate(t) dt - KL(q(x_T | x_0) || pi)

with rate(t) the divergence of a step at time t per unit of time, as the step grows short (Kingma et al. 2021,
"Variational Diffusion Models", equation 17). It depends on the schedule's two ends alone where the network is told of
time by the log-SNR.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_key, check_kind, check_sizes
from dpm_ppl._common.chunks import keys_of, over_data
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.sums import accurate_sum, map_chunks
from dpm_ppl._common.types import Array, Batch, Cost, Float, PerDatum, PRNGKey, Uniforms
from dpm_ppl.diffusion.lattice import Lattice
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import drawn_edge, end_divergence, step_divergence
from dpm_ppl.kernels.gaussian import perturbation
from dpm_ppl.methods.base import check_scored
from dpm_ppl.schedules.log_snr import WIDTH, AbstractLogSNR

_TIMES_CHUNK = 64


def divergence_rate(guide: StepLaws, model: StepLaws, x_0: Batch, time: Float[Array, "*batch"], x_t: Uniforms) -> Cost:
    """One draw of the rate of divergence at these times, one for each element of the batch, nats per unit of time.

    `x_t`, uniform numbers of the shape of `x_0`, says which x_t is drawn. The gradient leaves out what lies between
    the ends of the schedule.
    """
    schedule = guide.schedule
    assert isinstance(schedule, AbstractLogSNR), "check_continuous comes first"
    step, pace = schedule.instant(time)
    return step_divergence(guide, model, x_0, step, x_t) / WIDTH * pace


def check_continuous(diffusion: StepLaws) -> None:
    """Raise `InputError` for a diffusion that has no limit in continuous time."""
    fault = why_not_continuous(diffusion)
    if fault is not None:
        raise fault


def why_not_continuous(diffusion: StepLaws) -> InputError | None:
    """What keeps a diffusion from having a limit in continuous time, or None."""
    if not isinstance(diffusion.schedule, AbstractLogSNR):
        return InputError(
            "schedule",
            expected="a schedule in continuous time",
            got=type(diffusion.schedule).__name__,
            remedy="use LearnedLogSNR or LogSNR",
        )
    if getattr(diffusion.kernel, "readout", None) is perturbation:
        return InputError(
            "kernel",
            expected="a readout whose variances tend to the forward kernel's as steps grow short",
            got="perturbation",
            remedy="use GaussianKernel(velocity) or GaussianKernel(noise_prediction)",
        )
    between = jax.tree.map(lambda leaf: leaf.astype(float), diffusion.steps[0])
    try:
        eqx.filter_eval_shape(diffusion.network, jnp.zeros(diffusion.event_shape), between)
    except (TypeError, IndexError):
        return InputError(
            "network",
            expected="a network that is defined between the steps too",
            got=f"{type(diffusion.network).__name__}, which has a readout for each step",
            remedy="use TimeMLP, or another network that reads the log-SNR",
        )
    return None


def continuous_bound(
    diffusion: StepLaws,
    x_0: Batch | np.ndarray,
    key: PRNGKey,
    *,
    num_times: int = 256,
    data_chunk: int | None = None,
) -> PerDatum:
    """K of every datum in continuous time, nats, estimated from `num_times` evenly spread times each.

    The number is that of the same model as `bound` gives for T steps, and differs from it by a term of the order of
    1 / T. It bounds the log-likelihood of the chain in the limit, not that of the chain of T steps.

    **Arguments:** `x_0`, standardised data `(datum, *event_shape)`.

    **Raises:** `InputError` for a diffusion that has no limit in continuous time, and data that do not fit it.
    """
    check_kind("diffusion", diffusion, StepLaws, expected="a Diffusion", remedy="continuous_bound(diffusion, x_0, key)")
    check_continuous(diffusion)
    key, (num_times, data_chunk) = check_key(key), check_sizes(num_times=num_times, data_chunk=data_chunk)
    x_0 = check_scored(diffusion, x_0)  # pyright: ignore[reportArgumentType]: always a Diffusion
    return over_data(_continuous_bound, diffusion, x_0, key, num_times, data_chunk=data_chunk)


@eqx.filter_jit
def _continuous_bound(
    diffusion: StepLaws, x_0: Array, number: Array, key: PRNGKey, data_chunk: int, num_times: int
) -> PerDatum:
    def of_datum(pair: tuple[Array, PRNGKey]) -> Cost:
        return _of_datum(diffusion, *pair, num_times)

    return jax.lax.map(of_datum, (x_0, keys_of(key, number)), batch_size=min(data_chunk, len(x_0)))


def _of_datum(diffusion: StepLaws, x_0: Array, key: PRNGKey, num_times: int) -> Cost:
    time_key, noise_key, edge_key = jax.random.split(key, 3)
    times = (jnp.arange(num_times) + jax.random.uniform(time_key)) / num_times
    points = Lattice(noise_key, x_0.shape, diffusion.event_dim)

    def at_time(pair: tuple[Array, Array]) -> Cost:
        place, time = pair
        return divergence_rate(diffusion, diffusion, x_0, time, points(place))

    rates = map_chunks(at_time, (jnp.arange(num_times), times), _TIMES_CHUNK)
    edge = drawn_edge(diffusion, x_0, edge_key)
    return edge - accurate_sum(rates) / num_times - end_divergence(diffusion, x_0)
