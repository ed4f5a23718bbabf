"""The bound in continuous time as an SVI objective, which also trains the schedule that it draws times from."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.types import Array, Batch, Cost, Float, PRNGKey
from dpm_ppl.diffusion.continuous import check_continuous, divergence_rate
from dpm_ppl.diffusion.lattice import uniforms
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import end_divergence
from dpm_ppl.objectives.chain_elbo import AbstractChainELBO
from dpm_ppl.objectives.step_sampling import StepLosses, stratified_times


class ContinuousELBO(AbstractChainELBO):
    """The bound K in the limit of ever more steps (Kingma et al. 2021), for a diffusion whose schedule has one.

    Its three terms are the edge E log p(x_0 | x_1), the divergence of x_T from the noise, and the rate of divergence
    between, from `num_sampled_times` times per datum that the batch spreads evenly over the schedule. A
    `LearnedLogSNR` is trained with the network: its ends by the gradient of the bound, and what lies between them, on
    which the bound does not depend, by that of the squared rate, whose mean is least where its variance is.

    Where steps grow short, the variances of the reverse steps no longer matter, and their gradients are small. An
    optimiser that scales gradients, such as Adam, trains them all the same, and K of T steps needs them.

    **Arguments:** `num_particles`, `vectorize_particles` as in `Trace_ELBO`.

    **Raises:** `InputError` as `DiffusionELBO`, and for a diffusion that has no limit in continuous time.
    """

    def __init__(
        self, num_sampled_times: int = 1, *, num_particles: int = 1, vectorize_particles: bool | Callable = True
    ):
        self.num_sampled_times = whole_number("num_sampled_times", num_sampled_times)
        AbstractChainELBO.__init__(self, num_particles, vectorize_particles)

    def chain_cost(self, guide: StepLaws, model: StepLaws, x_0: Batch, key: PRNGKey, losses: StepLosses | None) -> Cost:
        check_continuous(guide)
        batch_shape = x_0.shape[: x_0.ndim - guide.event_dim]
        flat = x_0.reshape(-1, *guide.event_shape)
        time_key, draw_key = jax.random.split(key)
        times = stratified_times(time_key, len(flat), self.num_sampled_times)
        # Data and draws along one axis, as in `DiffusionELBO`.
        repeated = jnp.repeat(flat, self.num_sampled_times, axis=0)
        rate = divergence_rate(guide, model, repeated, times.ravel(), uniforms(draw_key, repeated.shape))
        rate = (rate + _variance_gradient(guide, rate, times.ravel())).reshape(times.shape).mean(axis=1)
        return -rate.reshape(batch_shape) - end_divergence(guide, x_0)


def _variance_gradient(guide: StepLaws, rate: Cost, time: Float[Array, " draws"]) -> Cost:
    """Zeros, whose gradient with respect to the schedule between its ends is that of the mean squared rate.

    It is measured by the mean squared rate itself, so that it weighs as much in any unit and for data of any size.
    """
    square = jax.lax.stop_gradient(rate) ** 2
    log_pace = guide.schedule.log_pace(time)  # pyright: ignore[reportAttributeAccessIssue]: checked by now
    return square / square.mean() * (log_pace - jax.lax.stop_gradient(log_pace))
