"""Gaussian diffusion: real data, standard normal noise, diagonal reverse covariance (paper, table App.1)."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, Normal

from dpm_ppl._types import Array, Outputs, Values
from dpm_ppl.kernels.base import AbstractKernel
from dpm_ppl.steps import Step

Readout = Callable[[Array, Array, Values, Step], tuple[Array, Array]]


def perturbation(location: Array, scale: Array, x_t: Values, step: Step) -> tuple[Array, Array]:
    """Mean and log variance as the paper perturbs the forward kernel (eq. 64-65).

    The variance is sigmoid(scale + logit beta_t) and the mean shrinks x_t towards `location`. The paper prints the
    factor 1 - variance; its square root is what makes zero outputs the forward kernel, as its text says.
    """
    logit = scale + step.logit_beta
    shrinkage = jnp.exp(0.5 * jax.nn.log_sigmoid(-logit))
    return location + shrinkage * (x_t - location), jax.nn.log_sigmoid(logit)


def noise_prediction(location: Array, scale: Array, x_t: Values, step: Step) -> tuple[Array, Array]:
    """Mean and log variance from a prediction of the noise in x_t, as one would do it today.

    The predicted noise is sqrt(noise_t) x_t + sqrt(alpha_bar_t) location: its first term is the best guess for data
    from N(0, 1), and what is left for the network is the velocity of Salimans and Ho (2022), well scaled at both ends
    of the chain. The mean is that of the bridge to the x_0 this implies.

    The variance lies on a logarithmic scale between the two values that the entropy bounds of the step name (paper,
    eq. 24; Nichol and Dhariwal 2021): beta_t at scale 0, and the bridge's own variance as scale -> -inf. Positive
    scales go above beta_t by at most the same factor, which a point between two modes may need: the bounds hold for
    the average over x_t, not for each. At t = 1, which only a learned edge asks for, the lower value is 0 and the
    variance is beta_1 exp(scale).
    """
    pull = jnp.exp(0.5 * (step.log_alpha_bar_prev - step.log_noise) + step.log_beta)
    mean = jnp.exp(0.5 * step.log_alpha) * x_t - pull * location
    at_edge = jnp.isneginf(step.log_noise_prev)
    log_ratio = step.log_noise - jnp.where(at_edge, 0.0, step.log_noise_prev)  # of beta_t to the bridge's variance
    return mean, step.log_beta + jnp.where(at_edge, scale, jnp.tanh(0.5 * scale) * log_ratio)


class GaussianKernel(AbstractKernel):
    """N(sqrt(1 - beta) x, beta) per coordinate, with pi = N(0, 1).

    `readout` says what the two outputs per coordinate mean: `perturbation` (the paper's) or `noise_prediction`, or any
    function of the same form that returns mean and log variance, and the forward kernel for zero outputs.
    """

    readout: Readout = eqx.field(static=True, default=perturbation)
    num_outputs: ClassVar[int] = 2
    reparametrised: ClassVar[bool] = True

    def stationary(self, event_shape: tuple[int, ...]) -> Distribution:
        return Normal(jnp.zeros(event_shape), jnp.ones(event_shape))

    def transition(self, x_prev: Values, step: Step) -> Distribution:
        return _normal(jnp.exp(0.5 * step.log_alpha) * x_prev, step.log_beta)

    def marginal(self, x_0: Values, step: Step) -> Distribution:
        return _normal(jnp.exp(0.5 * step.log_alpha_bar) * x_0, step.log_noise)

    def bridge(self, x_t: Values, x_0: Values, step: Step) -> Distribution:
        from_x_0 = jnp.exp(0.5 * step.log_alpha_bar_prev + step.log_beta - step.log_noise)
        from_x_t = jnp.exp(0.5 * step.log_alpha + step.log_noise_prev - step.log_noise)
        return _normal(from_x_0 * x_0 + from_x_t * x_t, step.log_beta + step.log_noise_prev - step.log_noise)

    def reverse(self, outputs: Outputs, x_t: Values, step: Step) -> Distribution:
        return _normal(*self.readout(outputs[..., 0], outputs[..., 1], x_t, step))


def _normal(mean: Array, log_variance: Array) -> Normal:
    # Unchecked, because a point that is known for certain (the bridge at t = 1) has no spread.
    return Normal(mean, jnp.broadcast_to(jnp.exp(0.5 * log_variance), jnp.shape(mean)), validate_args=False)
