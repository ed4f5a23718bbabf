"""Gaussian diffusion: real data, standard normal noise, diagonal reverse covariance (paper, table App.1)."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from dpm_ppl._common.numpyro_seam import Distribution, Normal
from dpm_ppl._common.types import Array, Outputs, Uniforms, Values
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.kernels.base import AbstractKernel
from dpm_ppl.schedules.steps import Step

Readout = Callable[[Array, Array, Values, Step], tuple[Array, Array]]
"""How far the reverse step's mean lies from the forward kernel's, in its deviations sqrt(beta_t), and the logarithm of
its variance over beta_t: from location, scale, x_t and the step. Both are 0 where location and scale are."""


def perturbation(location: Array, scale: Array, x_t: Values, step: Step) -> tuple[Array, Array]:
    """Shift and log-ratio as the paper perturbs the forward kernel (eq. 64-65).

    The variance is sigmoid(scale + logit beta_t) and the mean shrinks x_t towards `location`. The paper prints the
    factor 1 - variance; its square root is what makes zero outputs the forward kernel, as its text says.
    """
    growth = jnp.logaddexp(step.log_alpha, scale + step.log_beta)  # 1 - variance is alpha_t exp(-growth)
    loss = -jnp.expm1(0.5 * (step.log_alpha - growth))  # 1 - sqrt(1 - variance)
    excess = jnp.exp(0.5 * step.log_alpha) * jnp.expm1(-0.5 * growth)  # sqrt(1 - variance) - sqrt(alpha_t)
    per_deviation = jnp.exp(-0.5 * jnp.maximum(step.log_beta, -160.0))  # finite where both of these underflow
    return (loss * location + excess * x_t) * per_deviation, scale - growth


def drift(location: Array, scale: Array, x_t: Values, step: Step) -> tuple[Array, Array]:
    """Shift and log-ratio as the paper's figure 1 draws them: a drift, and a variance between 0 and 1 (D.1.1).

    `location` moves the forward kernel's mean, in units of sqrt(beta_t), as in the paper's released code; the variance
    is sigmoid(scale + logit beta_t). Unlike in `perturbation`, the mean does not depend on the variance.
    """
    return location, scale - jnp.logaddexp(step.log_alpha, scale + step.log_beta)


def noise_prediction(location: Array, scale: Array, x_t: Values, step: Step) -> tuple[Array, Array]:
    """Shift and log-ratio from a prediction of the noise in x_t, as one would do it today.

    The predicted noise is sqrt(noise_t) x_t + sqrt(alpha_bar_t) location: its first term is the best guess for data
    from N(0, 1), and what is left for the network is the velocity of Salimans and Ho (2022), well scaled at both ends
    of the chain. The mean is that of the bridge to the x_0 this implies.

    The variance lies on a logarithmic scale between the two values that the entropy bounds of the step name (paper,
    eq. 24; Nichol and Dhariwal 2021): beta_t at scale 0, and the bridge's own variance as scale -> -inf. Positive
    scales go above beta_t by at most the same factor, which a point between two modes may need: the bounds hold for
    the average over x_t, not for each. At t = 1, which only a learned edge asks for, the lower value is 0 and the
    variance is beta_1 exp(scale).
    """
    at_edge = jnp.isneginf(step.log_noise_ratio)
    log_lowest = jnp.where(at_edge, 0.0, step.log_noise_ratio)
    log_ratio = jnp.where(at_edge, scale, -jnp.tanh(0.5 * scale) * log_lowest)
    return -jnp.exp(0.5 * step.log_noise_gain) * location, log_ratio


def velocity(location: Array, scale: Array, x_t: Values, step: Step) -> tuple[Array, Array]:
    """Shift and log-ratio from the law N(location, exp(scale)) of the velocity given x_t (Salimans and Ho 2022).

    The velocity is sqrt(alpha_bar_t) noise - sqrt(noise_t) x_0, from N(0, 1) for data from N(0, 1). The reverse step is
    the bridge averaged over it, so what the network has to say does not depend on how long the steps are: the readout
    for continuous time.
    """
    log_ratio = jnp.logaddexp(step.log_noise_ratio, step.log_noise_gain + scale)
    return -jnp.exp(0.5 * step.log_noise_gain) * location, log_ratio


class GaussianKernel(AbstractKernel):
    """N(sqrt(1 - beta) x, beta) per coordinate, with pi = N(0, 1).

    `readout` says what the two outputs per coordinate mean: `perturbation` (the paper's), `noise_prediction`,
    `velocity`, or any function of the same form. It returns the shift of the mean from the forward kernel's, in units
    of sqrt(beta_t), and log(variance / beta_t), both 0 for zero outputs.

    The four laws that start from a value are `NormalStep`s: what they share with x is never subtracted.
    """

    readout: Readout = eqx.field(static=True, default=perturbation)
    num_outputs: ClassVar[int] = 2
    reparametrised: ClassVar[bool] = True

    def stationary(self, event_shape: tuple[int, ...]) -> Distribution:
        return Normal(jnp.zeros(event_shape), jnp.ones(event_shape))

    def transition(self, x_prev: Values, step: Step) -> NormalStep:
        return NormalStep(x_prev, 0.5 * step.log_beta, _decay(x_prev, step.log_alpha, step.log_beta))

    def marginal(self, x_0: Values, step: Step) -> NormalStep:
        return NormalStep(x_0, 0.5 * step.log_noise, _decay(x_0, step.log_alpha_bar, step.log_noise))

    def bridge(self, x_t: Values, x_0: Values, step: Step) -> NormalStep:
        return self._bridge(x_t, x_0, self.marginal(x_0, step).noise_of(x_t), step)

    def draw_bridge(self, x_0: Values, step: Step, uniform: Uniforms) -> tuple[Values, NormalStep]:
        """From the noise as drawn, of which x_t is rounded to hold less the smaller it is."""
        law = self.marginal(x_0, step)
        noise = law.noise_at(uniform)
        x_t = law.at(noise)
        return x_t, self._bridge(x_t, x_0, noise, step)

    def reverse(self, outputs: Outputs, x_t: Values, step: Step) -> NormalStep:
        return self._after(x_t, step, *self.readout(outputs[..., 0], outputs[..., 1], x_t, step))

    def _bridge(self, x_t: Values, x_0: Values, noise: Array, step: Step) -> NormalStep:
        velocity = jnp.exp(0.5 * step.log_alpha_bar) * noise - jnp.exp(0.5 * step.log_noise) * x_0
        return self._after(x_t, step, -jnp.exp(0.5 * step.log_noise_gain) * velocity, step.log_noise_ratio)

    def _after(self, x_t: Values, step: Step, shift: Array, log_ratio: Array) -> NormalStep:
        """`transition`, its mean moved by `shift` of its deviations and its variance multiplied by exp(log_ratio)."""
        return NormalStep(x_t, 0.5 * step.log_beta, _decay(x_t, step.log_alpha, step.log_beta) + shift, log_ratio)


def _decay(x: Values, log_kept: Array, log_variance: Array) -> Array:
    """(sqrt(kept) - 1) x in deviations of the noise that takes its place, of variance 1 - kept."""
    return -x * jnp.exp(0.5 * log_variance) / (1 + jnp.exp(0.5 * log_kept))
