"""`Exchanged`: the paper's own chains with the roles exchanged: the one that generates is the guide."""

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_key
from dpm_ppl._common.types import Array, Float, PRNGKey
from dpm_ppl.guides.chains.base import AbstractChainPair, Departure, Point
from dpm_ppl.guides.chains.networks import NetworkMaker, guide_network
from dpm_ppl.guides.chains.rates import FreeRates
from dpm_ppl.kernels import GaussianKernel, noise_prediction
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.schedules import AbstractSchedule, LogSNR
from dpm_ppl.schedules.steps import Step

FIRST, LAST = 4.0, -5.0
"""Log-SNR of the schedule that training starts from, at t = 1 and t = T."""


class Exchanged(AbstractChainPair):
    """The reverse chain p(x_{t-1} | x_t), its last step learned too, from x_T ~ N(0, I); the way back is T_pi.

    Schedule, kernel and network are read as a `Diffusion` reads them (paper, eq. 4-5 and table App.1); the target takes
    the place of the data. The score pulls the mean of a step as it does in `Bridge`.

    **Arguments:** `size`, of the latent vector; `network`, called as `TimeMLP` is, makes the network; `schedule`, by
    default learned from a log-SNR of 4 at t = 1 and -5 at t = T; `kernel`, for its readout.
    """

    schedule: AbstractSchedule
    kernel: GaussianKernel
    network: AbstractNetwork
    pulls: Float[Array, " steps"]

    def __init__(
        self,
        size: int,
        num_steps: int,
        *,
        network: NetworkMaker = guide_network,
        schedule: AbstractSchedule | None = None,
        kernel: GaussianKernel | None = None,
        key: PRNGKey,
    ):
        self.schedule = first_schedule(num_steps) if schedule is None else schedule
        self.kernel = GaussianKernel(noise_prediction) if kernel is None else kernel
        self.network = network((size,), self.kernel.num_outputs, num_steps, key=check_key(key))
        self.pulls = jnp.zeros(num_steps)

    def steps(self) -> Step:
        return self.schedule.steps()[::-1]

    def forward(self, x: Point, score: Point, step: Step) -> Departure:
        location, scale = jnp.moveaxis(self.network(x, step), -1, 0)
        shift, log_ratio = self.kernel.readout(location, scale, x, step)
        pull = jnp.exp(0.5 * step.log_beta) * self.pulls[step.t - 1] * score
        return Departure(shift + pull, 0.5 * log_ratio)

    def backward(self, x: Point, score: Point, step: Step) -> Departure:
        return Departure(jnp.zeros_like(x), jnp.zeros_like(x))


def first_schedule(num_steps: int) -> FreeRates:
    """A log-SNR that falls linearly, of which all rates are then learned."""
    if num_steps == 1:
        return FreeRates([1 / (1 + np.exp(LAST))])
    with jax.ensure_compile_time_eval():  # the schedule is known while other things are traced
        log_betas = np.asarray(LogSNR(num_steps, FIRST, LAST).steps().log_beta, np.float64)
    return FreeRates(np.exp(log_betas))
