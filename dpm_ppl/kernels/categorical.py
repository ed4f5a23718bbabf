"""Categorical diffusion: levels or symbols that move by a Markov chain of their own (Austin et al. 2021)."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_kind
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Float, Outputs, Values
from dpm_ppl.kernels import _divergences as _divergences  # registers KL(categorical || categorical) with NumPyro
from dpm_ppl.kernels._levels import LevelLaw, index_of, padded
from dpm_ppl.kernels.base import AbstractKernel
from dpm_ppl.kernels.moves import AbstractMoves
from dpm_ppl.schedules.steps import Step

Readout = Callable[["CategoricalKernel", Outputs, Values, Step], Float[Array, "... states"]]
"""Log-probabilities of x_{t-1}, from one output for each level, x_t and the step."""


def direct_levels(kernel: "CategoricalKernel", outputs: Outputs, x_t: Values, step: Step) -> Array:
    """Log-probabilities of x_{t-1} as those of a model that has learned nothing plus the outputs."""
    return kernel.null_reverse(x_t, step).logits + kernel.padded(outputs)


def clean_levels(kernel: "CategoricalKernel", outputs: Outputs, x_t: Values, step: Step) -> Array:
    """Log-probabilities of x_{t-1} from those of x_0 given x_t, pushed through the bridge (Austin et al. 2021, eq. 4).

    The outputs shift the log-probabilities that x_0 has in a model that has learned nothing. What x_t itself says of
    x_0 is added here: the network need only say what the other coordinates do.
    """
    log_law = kernel.log_clean(outputs)
    # The sum over x_0 of p(x_0) q(x_{t-1} | x_0) q(x_t | x_{t-1}), in which the evidence of x_t for x_0 cancels.
    return kernel.given(x_t, kernel.moves.carried(log_law, step.log_alpha_bar_prev, step.log_noise_prev), step)


class CategoricalKernel(AbstractKernel):
    """Levels 0 ... K - 1 that move as `moves` says: `uniform`, `resampled`, `absorbing` or `discretised_gaussian`.

    Everything is held in log-probabilities. `readout` says what the K outputs of a coordinate mean: `clean_levels`, the
    log-probabilities of x_0, or `direct_levels`, those of x_{t-1}.

    Under `absorbing` a state more than the levels stands for a mask. The reverse chain keeps what is unmasked, and
    unmasks the rest by the outputs; by `clean_levels` a share of the masked that the schedule alone decides. K is then
    a weighted sum of the cross-entropies of masked coordinates, and its L_null that of uniform levels.
    """

    moves: AbstractMoves
    readout: Readout = eqx.field(static=True, default=clean_levels)
    reparametrised: ClassVar[bool] = False

    def __check_init__(self):
        remedy = "for example uniform(17) for 17 levels"
        check_kind("moves", self.moves, AbstractMoves, expected="how the levels move", remedy=remedy)

    @property
    def num_levels(self) -> int:
        """K."""
        return self.moves.num_levels

    @property
    def num_outputs(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]: a number for each kernel
        return self.num_levels

    @property
    def log_null(self) -> Array:
        """Log-probabilities of x_0 in a model that has learned nothing, `(states,)`."""
        return _log(self.moves.null)

    def log_clean(self, outputs: Outputs) -> Float[Array, "*shape states"]:
        """What the outputs say of x_0, as log-probabilities in which x_t has no part; a guess for `direct_levels`."""
        return jax.nn.log_softmax(self.log_null + self.padded(outputs))

    def stationary(self, event_shape: tuple[int, ...]) -> Distribution:
        return _everywhere(_log(self.moves.stationary), event_shape)

    def null(self, event_shape: tuple[int, ...], step: Step | None = None) -> Distribution:
        log_law = self.log_null
        if step is not None:
            log_law = self.moves.carried(log_law, step.log_alpha_bar, step.log_noise)
        return _everywhere(log_law, event_shape)

    def transition(self, x_prev: Values, step: Step) -> LevelLaw:
        return self._moved(x_prev, step.log_alpha, step.log_beta)

    def null_reverse(self, x_t: Values, step: Step) -> LevelLaw:
        before = self.moves.carried(self.log_null, step.log_alpha_bar_prev, step.log_noise_prev)
        return LevelLaw(self.given(x_t, before, step))

    def marginal(self, x_0: Values, step: Step) -> LevelLaw:
        return self._moved(x_0, step.log_alpha_bar, step.log_noise)

    def bridge(self, x_t: Values, x_0: Values, step: Step) -> LevelLaw:
        before = self._moved(x_0, step.log_alpha_bar_prev, step.log_noise_prev)
        return LevelLaw(self.given(x_t, before.logits, step))

    def reverse(self, outputs: Outputs, x_t: Values, step: Step) -> LevelLaw:
        return LevelLaw(self.readout(self, outputs, x_t, step))

    def given(self, x_t: Values, log_law: Array, step: Step) -> Array:
        """Log-probabilities of x_{t-1} by Bayes' rule, from those without x_t; one that is impossible says nothing."""
        known, index = index_of(x_t)
        joint = self.moves.before(index, step.log_alpha, step.log_beta) + log_law
        possible = jnp.isfinite(joint).any(axis=-1, keepdims=True)
        return jnp.where(known[..., None], jnp.where(possible, joint, log_law), jnp.nan)

    def padded(self, outputs: Outputs) -> Float[Array, "*shape states"]:
        """Outputs with 0 for the states that are no levels."""
        return padded(outputs, len(self.moves.stationary))

    def check_data(self, x_0: Array | np.ndarray) -> None:
        values = np.asarray(x_0)
        strange = ~((values == np.floor(values)) & (values >= 0) & (values < self.num_levels))
        if strange.any():
            raise InputError(
                "x_0",
                expected=f"whole numbers 0 ... {self.num_levels - 1} for a categorical kernel of these levels",
                got=f"{int(strange.sum())} other values, the first {values[strange][0].item()!r}",
                remedy="number the levels from 0, or use a Gaussian kernel",
            )

    def check_steps(self, steps: Step) -> None:
        """Raise `InputError` where x_T has a law that pi does not know of: a level that is left among masks."""
        if (self.moves.stationary > 0).all() or np.isneginf(np.asarray(steps.log_alpha_bar[-1])):
            return
        raise InputError(
            "schedule",
            expected="one that masks every level in the end, beta_T = 1, for absorbing moves",
            got=f"alpha_bar_T = {float(np.exp(steps.log_alpha_bar[-1])):.1e}",
            remedy="use Erasure",
        )

    def _moved(self, x: Values, log_kept: Array, log_lost: Array) -> LevelLaw:
        known, index = index_of(x)
        return LevelLaw(jnp.where(known[..., None], self.moves.after(index, log_kept, log_lost), jnp.nan))


def _log(probabilities: np.ndarray) -> Array:
    with np.errstate(divide="ignore"):  # what is impossible
        return jnp.asarray(np.log(probabilities), dtype=float)


def _everywhere(log_law: Array, event_shape: tuple[int, ...]) -> LevelLaw:
    return LevelLaw(jnp.broadcast_to(log_law, (*event_shape, log_law.shape[-1])))
