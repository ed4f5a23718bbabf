"""`AbstractKernel`: the five laws that every family of kernels has, and how many numbers it asks of the network."""

import abc

import equinox as eqx
import numpy as np

from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Outputs, Uniforms, Values
from dpm_ppl.kernels._quantiles import quantile
from dpm_ppl.schedules.steps import Step


class AbstractKernel(eqx.Module):
    """A Markov kernel that leaves `stationary` invariant (paper, eq. 1-3).

    The laws treat every coordinate by itself: each takes values of any shape and returns a distribution whose
    `batch_shape` is that shape. `step` holds the rates at one t, or rates that broadcast against the values.

    A model that has learned nothing takes x_0 to come from `null` and reverses the forward chain from there: it has the
    law `null` of x_t, and `null_reverse` of x_{t-1} given x_t. A kernel that is reversible with respect to pi,
    T(y | x) pi(x) = T(x | y) pi(y), has pi and `transition` itself for these, which is the default. Another one
    overrides both, so that T(y | x) null_{t-1}(x) = null_reverse(x | y) null_t(y) and null_T = pi.
    """

    num_outputs: eqx.AbstractClassVar[int]
    """Numbers the network returns per coordinate."""
    reparametrised: eqx.AbstractClassVar[bool]
    """Whether draws from `marginal` are differentiable in the rates, as a learned schedule needs."""

    @property
    def num_levels(self) -> int | None:
        """How many values a coordinate of a datum may have, 0, 1, ...; None where it is no such number."""
        return None

    @abc.abstractmethod
    def stationary(self, event_shape: tuple[int, ...]) -> Distribution:
        """pi(x_T): where the forward chain ends and the reverse chain starts."""

    @abc.abstractmethod
    def transition(self, x_prev: Values, step: Step) -> Distribution:
        """q(x_t | x_{t-1})."""

    def null(self, event_shape: tuple[int, ...], step: Step | None = None) -> Distribution:
        """The law of x_t, or without a step that of x_0, in a model that has learned nothing; K is L_null then."""
        return self.stationary(event_shape)

    def null_reverse(self, x_t: Values, step: Step) -> Distribution:
        """The law of x_{t-1} given x_t in that model; at t = 1 it is the fixed last reverse step too."""
        return self.transition(x_t, step)

    @abc.abstractmethod
    def marginal(self, x_0: Values, step: Step) -> Distribution:
        """q(x_t | x_0)."""

    @abc.abstractmethod
    def bridge(self, x_t: Values, x_0: Values, step: Step) -> Distribution:
        """q(x_{t-1} | x_t, x_0); for t = 1 it is the point x_0."""

    def draw_bridge(self, x_0: Values, step: Step, uniform: Uniforms) -> tuple[Values, Distribution]:
        """The x_t that stands at the share `uniform` of q(x_t | x_0), and the bridge from it.

        To be overridden by a kernel whose draws lose in rounding what the bridge needs to know, or whose `marginal` has
        neither `icdf` nor `enumerate_support`.
        """
        x_t = quantile(self.marginal(x_0, step), uniform)
        return x_t, self.bridge(x_t, x_0, step)

    @abc.abstractmethod
    def reverse(self, outputs: Outputs, x_t: Values, step: Step) -> Distribution:
        """p(x_{t-1} | x_t), from the network's raw `outputs`; zeros give back `null_reverse(x_t)`."""

    def check_steps(self, steps: Step) -> None:
        """Raise `InputError` where these steps do not lead to the law `stationary` that the kernel has of x_T."""

    def check_data(self, x_0: Array | np.ndarray) -> None:
        """Raise `InputError` where concrete data lie outside the family's support."""
