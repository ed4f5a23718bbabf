"""`AbstractKernel`: the five laws that every family of kernels has, and how many numbers it asks of the network."""

import abc

import equinox as eqx
import numpy as np

from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Outputs, Uniforms, Values
from dpm_ppl.kernels._quantiles import quantile
from dpm_ppl.schedules.steps import Step


class AbstractKernel(eqx.Module):
    """A Markov kernel that leaves `stationary` invariant and is reversible with respect to it (paper, eq. 1-3).

    The laws treat every coordinate by itself: each takes values of any shape and returns a distribution whose
    `batch_shape` is that shape. `step` holds the rates at one t, or rates that broadcast against the values.
    Reversibility, T(y | x) pi(x) = T(x | y) pi(y), is what makes `transition` serve as the fixed last reverse step too.
    """

    num_outputs: eqx.AbstractClassVar[int]
    """Numbers the network returns per coordinate."""
    reparametrised: eqx.AbstractClassVar[bool]
    """Whether draws from `marginal` are differentiable in the rates, as a learned schedule needs."""

    @abc.abstractmethod
    def stationary(self, event_shape: tuple[int, ...]) -> Distribution:
        """pi(x_T): where the forward chain ends and the reverse chain starts."""

    @abc.abstractmethod
    def transition(self, x_prev: Values, step: Step) -> Distribution:
        """q(x_t | x_{t-1})."""

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
        """p(x_{t-1} | x_t), from the network's raw `outputs`; zeros give back the forward kernel `transition(x_t)`."""

    def check_data(self, x_0: Array | np.ndarray) -> None:
        """Raise `InputError` where concrete data lie outside the family's support."""
