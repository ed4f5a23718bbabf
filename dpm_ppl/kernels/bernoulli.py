"""Binomial diffusion: bits that are resampled, one by one, from a stationary rate (paper, table App.1)."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import number_in
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import BernoulliLogits, Distribution
from dpm_ppl._common.types import Array, Outputs, Values
from dpm_ppl.kernels import _divergences as _divergences  # registers KL(Bernoulli || Bernoulli) with NumPyro
from dpm_ppl.kernels.base import AbstractKernel
from dpm_ppl.schedules.steps import Step

Readout = Callable[["BernoulliKernel", Array, Values, Step], Array]


def direct_rate(kernel: "BernoulliKernel", output: Array, x_t: Values, step: Step) -> Array:
    """Log-odds of x_{t-1} = 1 as the forward kernel's plus the output: the paper's rate f_b, perturbed from T_pi."""
    return kernel.transition(x_t, step).logits + output


def clean_rate(kernel: "BernoulliKernel", output: Array, x_t: Values, step: Step) -> Array:
    """Log-odds of x_{t-1} = 1 from a rate of x_0 = 1 given x_t, pushed through the bridge.

    The output shifts the log-odds that x_0 has under the stationary law, so zero gives back the forward kernel.
    """
    x_0_logits = kernel.prior_logit + kernel.evidence(x_t, step.log_alpha_bar, step.log_noise) + output
    if_one = kernel.bridge(x_t, jnp.ones_like(x_t), step).logits
    if_zero = kernel.bridge(x_t, jnp.zeros_like(x_t), step).logits

    def log_mixture(sign: int) -> Array:
        """log P(x_{t-1} = 1) for sign = 1 and log P(x_{t-1} = 0) for sign = -1."""
        return jnp.logaddexp(
            jax.nn.log_sigmoid(x_0_logits) + jax.nn.log_sigmoid(sign * if_one),
            jax.nn.log_sigmoid(-x_0_logits) + jax.nn.log_sigmoid(sign * if_zero),
        )

    return log_mixture(1) - log_mixture(-1)


def _rate(pi: Any) -> float:
    remedy = "use the mean activity of the data, or 0.5"
    return number_in("pi", pi, 0, 1, expected="a rate strictly between 0 and 1", remedy=remedy)


class BernoulliKernel(AbstractKernel):
    """With probability beta a bit is drawn afresh from B(`pi`): P(x_t = 1) = x_{t-1} (1 - beta) + pi beta.

    The paper's table has pi = 0.5; its heartbeat was scored with the data's own activity, 0.2. Everything is held in
    log-odds: what a noisy bit says about the bit before it and after it is one and the same number, `evidence`, so
    every law is the stationary log-odds plus one or two evidences. `readout` says what the network's output means:
    `direct_rate` (the paper) or `clean_rate`.
    """

    pi: float = eqx.field(static=True, default=0.5, converter=_rate)
    readout: Readout = eqx.field(static=True, default=direct_rate)
    num_outputs: ClassVar[int] = 1
    reparametrised: ClassVar[bool] = False

    @property
    def num_levels(self) -> int:
        """Bits have two."""
        return 2

    @property
    def prior_logit(self) -> float:
        """Log-odds of a bit under the stationary law."""
        return math.log(self.pi) - math.log1p(-self.pi)

    def evidence(self, x: Values, log_kept: Array, log_resampled: Array) -> Array:
        """Log-odds that a bit x gives for its neighbour's being 1, with the chances of keeping and resampling it.

        It is log((kept + resampled pi) / (resampled pi)) for x = 1, minus the like with 1 - pi for x = 0; zero where
        nothing is kept, infinite where nothing is resampled, NaN for NaN.
        """
        log_odds = log_kept - log_resampled
        for_one = jax.nn.softplus(log_odds - math.log(self.pi))
        for_zero = -jax.nn.softplus(log_odds - math.log1p(-self.pi))
        return jnp.where(jnp.isnan(x), jnp.nan, jnp.where(jnp.asarray(x) > 0, for_one, for_zero))

    def stationary(self, event_shape: tuple[int, ...]) -> Distribution:
        return BernoulliLogits(jnp.full(event_shape, self.prior_logit))

    def transition(self, x_prev: Values, step: Step) -> BernoulliLogits:
        return _bits(self.prior_logit + self.evidence(x_prev, step.log_alpha, step.log_beta))

    def marginal(self, x_0: Values, step: Step) -> BernoulliLogits:
        return _bits(self.prior_logit + self.evidence(x_0, step.log_alpha_bar, step.log_noise))

    def bridge(self, x_t: Values, x_0: Values, step: Step) -> BernoulliLogits:
        from_x_0 = self.evidence(x_0, step.log_alpha_bar_prev, step.log_noise_prev)
        return _bits(self.prior_logit + from_x_0 + self.evidence(x_t, step.log_alpha, step.log_beta))

    def reverse(self, outputs: Outputs, x_t: Values, step: Step) -> BernoulliLogits:
        return _bits(self.readout(self, outputs[..., 0], x_t, step))

    def check_data(self, x_0: Array | np.ndarray) -> None:
        values = np.asarray(x_0)
        strange = ~((values == 0) | (values == 1))
        if strange.any():
            raise InputError(
                "x_0",
                expected="bits, 0 or 1, for a Bernoulli kernel",
                got=f"{int(strange.sum())} other values, the first {values[strange][0].item()!r}",
                remedy="binarise the data, or use a Gaussian kernel",
            )


def _bits(logits: Array) -> BernoulliLogits:
    # Unchecked, because a bit that is known for certain (the bridge at t = 1) has infinite log-odds.
    return BernoulliLogits(logits, validate_args=False)
