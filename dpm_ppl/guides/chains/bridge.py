"""`Bridge`: both chains learned, with variances that depend on the point, and led by the target's score."""

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import check_key
from dpm_ppl._common.types import Array, Float, PRNGKey
from dpm_ppl.guides.chains.base import AbstractChainPair, Departure, Point
from dpm_ppl.guides.chains.networks import NetworkMaker, guide_network
from dpm_ppl.guides.chains.rates import FreeRates
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.schedules import AbstractSchedule
from dpm_ppl.schedules.steps import Step

FIRST_RATE = 0.2
MOST_LOG_SCALE = 3.0
"""What the network may add to the logarithm of a deviation."""


class _Direction(eqx.Module):
    """One of the two chains: N(sqrt(1 - a) x + a (u + c s), a exp(2 sigma)), with u and sigma from a network."""

    network: AbstractNetwork
    log_scales: Float[Array, "steps size"]
    pulls: Float[Array, " steps"]

    def __call__(self, x: Point, score: Point, step: Step) -> Departure:
        location, raw = jnp.moveaxis(self.network(x, step), -1, 0)
        drift = location + self.pulls[step.t - 1] * score
        spread = MOST_LOG_SCALE * jnp.tanh(raw / MOST_LOG_SCALE)
        return Departure(jnp.exp(0.5 * step.log_beta) * drift, self.log_scales[step.t - 1] + spread)


class Bridge(AbstractChainPair):
    """A learned bridge from N(0, I) to the target, k = 0 ... K - 1, and its learned way back:

        F: x_{k+1} = sqrt(1 - a_k) x_k + a_k (u(x_k, k) + c_k s(x_k)) + sqrt(a_k) exp(sigma(x_k, k)) noise
        B: x_k = sqrt(1 - a_k) x_{k+1} + a_k (v(x_{k+1}, k) + c'_k s(x_{k+1})) + sqrt(a_k) exp(sigma'(x_{k+1}, k)) noise

    where s is the score. The step sizes a_k are those of `schedule`, by default learned from 0.2.

    **Arguments:** `size`, of the latent vector; `network`, called as `TimeMLP` is, makes the network of each chain,
    with two outputs per coordinate, which must start at zero for the guide to start as its base.
    """

    schedule: AbstractSchedule
    out: _Direction
    back: _Direction

    def __init__(
        self,
        size: int,
        num_steps: int,
        *,
        network: NetworkMaker = guide_network,
        schedule: AbstractSchedule | None = None,
        key: PRNGKey,
    ):
        self.schedule = FreeRates([FIRST_RATE] * num_steps) if schedule is None else schedule

        def direction(key: PRNGKey) -> _Direction:
            made = network((size,), 2, num_steps, key=key)
            return _Direction(made, jnp.zeros((num_steps, size)), jnp.zeros(num_steps))

        self.out, self.back = map(direction, jax.random.split(check_key(key)))

    def steps(self) -> Step:
        return self.schedule.steps()

    def forward(self, x: Point, score: Point, step: Step) -> Departure:
        return self.out(x, score, step)

    def backward(self, x: Point, score: Point, step: Step) -> Departure:
        return self.back(x, score, step)
