"""How a network may depend on the step: one readout per step, bumps over time, or smooth features of time."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Real

from dpm_ppl._common.checks import check_sizes
from dpm_ppl._common.types import Array, Datum, Float, PRNGKey
from dpm_ppl.networks.base import AbstractNetwork, zero_linear
from dpm_ppl.schedules.steps import Step

# Beyond this log-SNR a float32 signal cannot be told from no noise, nor noise from no signal.
LOG_SNR_LIMIT = 20.0


def bumps(t: Real[Array, ""], num_steps: int, num_bumps: int) -> Float[Array, " bumps"]:
    """Gaussian bumps g_j(t) over (0, T), normalised to sum to one at every step (Sohl-Dickstein et al. 2015, eq. 64).

    The centres are the midpoints of `num_bumps` equal parts of (0, T), and the width of a bump is their spacing.
    """
    spacing = num_steps / num_bumps
    centres = (jnp.arange(num_bumps) + 0.5) * spacing
    return jax.nn.softmax(-0.5 * jnp.square((t - centres) / spacing))


class BumpReadout(eqx.Module):
    """A linear readout whose coefficients vary smoothly over time (Sohl-Dickstein et al. 2015, eq. 62 and 63).

    The features give J numbers for each output, and the bumps at step t are their weights. It starts at zero.
    """

    linear: eqx.nn.Linear
    num_steps: int = eqx.field(static=True)
    num_bumps: int = eqx.field(static=True)

    def __init__(self, num_features: int, num_outputs: int, num_steps: int, *, num_bumps: int = 10, key: PRNGKey):
        num_features, num_outputs, num_steps, num_bumps = check_sizes(
            num_features=num_features, num_outputs=num_outputs, num_steps=num_steps, num_bumps=num_bumps
        )
        self.linear = zero_linear(num_features, num_outputs * num_bumps, key=key)
        self.num_steps = num_steps
        self.num_bumps = num_bumps

    def __call__(self, features: Float[Array, " features"], step: Step) -> Float[Array, " outputs"]:
        coefficients = self.linear(features).reshape(-1, self.num_bumps)
        return coefficients @ bumps(step.t, self.num_steps, self.num_bumps)


class StepReadouts(eqx.Module):
    """A linear readout for each step, apart from all others (Sohl-Dickstein et al. 2015, D.1). It starts at zero."""

    weights: Float[Array, "steps outputs features"]
    biases: Float[Array, "steps outputs"]

    def __init__(self, num_features: int, num_outputs: int, num_steps: int):
        num_features, num_outputs, num_steps = check_sizes(
            num_features=num_features, num_outputs=num_outputs, num_steps=num_steps
        )
        self.weights = jnp.zeros((num_steps, num_outputs, num_features))
        self.biases = jnp.zeros((num_steps, num_outputs))

    @property
    def num_steps(self) -> int:
        """T."""
        return self.weights.shape[0]

    def __call__(self, features: Float[Array, " features"], step: Step) -> Float[Array, " outputs"]:
        return self.weights[step.t - 1] @ features + self.biases[step.t - 1]


class SmoothReadouts(eqx.Module):
    """A linear readout for each step that changes smoothly from step to step. It starts at zero.

    Weights and biases are sums of `num_bumps` bumps over each of two clocks: t, and the log-signal-to-noise ratio,
    which tells the first steps apart and the last. So all steps are learned together, where `StepReadouts` learn each
    alone. With 10 bumps they are a hundredth of the numbers of those of 2,000 steps.
    """

    weights: Float[Array, "bumps outputs features"]
    biases: Float[Array, "bumps outputs"]
    num_steps: int = eqx.field(static=True)

    def __init__(self, num_features: int, num_outputs: int, num_steps: int, *, num_bumps: int = 10):
        num_features, num_outputs, num_steps, num_bumps = check_sizes(
            num_features=num_features, num_outputs=num_outputs, num_steps=num_steps, num_bumps=num_bumps
        )
        self.weights = jnp.zeros((2 * num_bumps, num_outputs, num_features))
        self.biases = jnp.zeros((2 * num_bumps, num_outputs))
        self.num_steps = num_steps

    def __call__(self, features: Float[Array, " features"], step: Step) -> Float[Array, " outputs"]:
        return self._shares(step) @ (self.weights @ features + self.biases)

    def at(self, steps: Step) -> StepReadouts:
        """The readouts that these are at each of all steps."""
        _, num_outputs, num_features = self.weights.shape
        shares = jax.vmap(self._shares)(steps)
        values = jnp.tensordot(shares, self.weights, 1), shares @ self.biases
        untied = StepReadouts(num_features, num_outputs, self.num_steps)
        return eqx.tree_at(lambda one: (one.weights, one.biases), untied, values)

    def _shares(self, step: Step) -> Float[Array, " bumps"]:
        limit = math.log(self.num_steps + 1)  # where the ratios of an erasing chain end, but for that of its last step
        late = 0.5 - 0.5 * jnp.clip(step.log_snr / limit, -1.0, 1.0)
        num_bumps = len(self.biases) // 2
        return jnp.concatenate([bumps(step.t, self.num_steps, num_bumps), bumps(late, 1, num_bumps)])


class AtTimes(AbstractNetwork):
    """A network that is told, in place of t, the time `times[t - 1]`."""

    network: AbstractNetwork
    times: tuple[int, ...] = eqx.field(static=True)

    @property
    def num_steps(self) -> int:
        """How many times there are."""
        return len(self.times)

    @property
    def made_for(self) -> str | None:
        """The readout that the network is made for, None where it does not say."""
        return getattr(self.network, "made_for", None)

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        told: Any = eqx.tree_at(lambda step: step.t, step, jnp.asarray(self.times)[step.t - 1])
        return self.network(x_t, told)


def time_features(step: Step, num_steps: int, num_frequencies: int = 8) -> Float[Array, " features"]:
    """Where a step stands, as `4 num_frequencies + 2` smooth numbers within [-1, 1].

    Both clocks, t/T and the log-signal-to-noise ratio (clipped, being infinite where a schedule ends), with their sines
    and cosines.
    """
    clocks = jnp.stack([step.t / num_steps, jnp.clip(step.log_snr / LOG_SNR_LIMIT, -1.0, 1.0)])
    angles = jnp.pi * jnp.outer(clocks, jnp.arange(1, num_frequencies + 1)).ravel()
    return jnp.concatenate([clocks, jnp.sin(angles), jnp.cos(angles)])
