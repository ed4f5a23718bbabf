"""How levels 0 ... K - 1 move in a forward chain: `uniform`, `resampled`, `absorbing` and `discretised_gaussian`.

All are Markov chains in continuous time, run for -log(1 - beta_t) in step t, so that what many steps do has the same
closed form as what one does, for any rates: a share `kept` of what was known is left, and a share `lost` is not. So a
kernel holds no table of T matrices, and a schedule means the same for each (Austin et al. 2021, appendix A.2).
"""

import abc
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import number_in, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Float, Int

LogLaw = Float[Array, "... states"]
"""Log-probabilities of the states, which need not be normalised."""


class AbstractMoves(eqx.Module):
    """A chain on the levels and any states beside them, seen from a state x, with `log_kept + log_lost` summing to 1.

    Each takes x of any shape and shares that broadcast against it, and gives logarithms with an axis of states behind.
    """

    num_levels: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def stationary(self) -> np.ndarray:
        """The law of each state in the end, `(states,)`."""

    @property
    @abc.abstractmethod
    def null(self) -> np.ndarray:
        """The law of each state at the start in a model that has learned nothing, `(states,)`; 0 but for levels."""

    @abc.abstractmethod
    def after(self, x: Int[Array, "..."], log_kept: Array, log_lost: Array) -> LogLaw:
        """log P(x becomes y) of every state y."""

    @abc.abstractmethod
    def before(self, x: Int[Array, "..."], log_kept: Array, log_lost: Array) -> LogLaw:
        """log P(y becomes x) of every state y."""

    @abc.abstractmethod
    def carried(self, log_law: LogLaw, log_kept: Array, log_lost: Array) -> LogLaw:
        """The law of what a state of the law `log_law` becomes."""


class Resampled(AbstractMoves):
    """What is lost is drawn afresh from `pi`, one probability for each state."""

    num_levels: int = eqx.field(static=True)
    pi: tuple[float, ...] = eqx.field(static=True)

    @property
    def stationary(self) -> np.ndarray:
        return np.array(self.pi)

    @property
    def null(self) -> np.ndarray:
        levels = self.stationary[: self.num_levels]
        states = np.zeros(len(self.pi))
        states[: self.num_levels] = levels / levels.sum() if levels.any() else 1 / self.num_levels
        return states

    def after(self, x: Int[Array, "..."], log_kept: Array, log_lost: Array) -> LogLaw:
        return self._mixed(self._only(x), log_kept, log_lost)

    def before(self, x: Int[Array, "..."], log_kept: Array, log_lost: Array) -> LogLaw:
        drawn = jnp.asarray(log_lost)[..., None] + self._log_pi[x][..., None]
        return _log_sum(jnp.asarray(log_kept)[..., None] + self._only(x), drawn)

    def carried(self, log_law: LogLaw, log_kept: Array, log_lost: Array) -> LogLaw:
        return self._mixed(log_law, log_kept, log_lost)

    def _mixed(self, log_law: LogLaw, log_kept: Array, log_lost: Array) -> LogLaw:
        drawn = jnp.asarray(log_lost)[..., None] + self._log_pi
        return _log_sum(jnp.asarray(log_kept)[..., None] + log_law, drawn)

    def _only(self, x: Int[Array, "..."]) -> LogLaw:
        return jnp.where(jax.nn.one_hot(x, len(self.pi), dtype=bool), 0.0, -jnp.inf)

    @property
    def _log_pi(self) -> Array:
        with np.errstate(divide="ignore"):  # what is never drawn
            return jnp.asarray(np.log(self.pi), dtype=float)


class LatticeWalk(AbstractMoves):
    """A level goes up or down by one at a constant rate, and stays where it would leave the range.

    After a time that is short beside K^2 its law is that of a normal number rounded to levels. The generator is
    symmetric, so the stationary law is uniform, and has the cosines as eigenvectors; the slowest decays as `kept` does.
    """

    num_levels: int = eqx.field(static=True)

    @property
    def stationary(self) -> np.ndarray:
        return np.full(self.num_levels, 1 / self.num_levels)

    @property
    def null(self) -> np.ndarray:
        return self.stationary

    def after(self, x: Int[Array, "..."], log_kept: Array, log_lost: Array) -> LogLaw:
        matrix = jnp.log(self._matrix(log_kept))
        matrix = matrix.reshape(*[1] * (x.ndim + 2 - matrix.ndim), *matrix.shape)
        return jnp.take_along_axis(matrix, x[..., None, None], axis=-2)[..., 0, :]

    def before(self, x: Int[Array, "..."], log_kept: Array, log_lost: Array) -> LogLaw:
        return self.after(x, log_kept, log_lost)

    def carried(self, log_law: LogLaw, log_kept: Array, log_lost: Array) -> LogLaw:
        highest = jax.lax.stop_gradient(log_law.max(axis=-1, keepdims=True))
        law = jnp.exp(log_law - highest)[..., None, :] @ self._matrix(log_kept)
        return jnp.log(law[..., 0, :]) + highest

    def _matrix(self, log_kept: Array) -> Float[Array, "*shape states states"]:
        """P(x becomes y), `(*rates, x, y)`, from its difference to staying: small steps have small chances, exactly."""
        vectors, decays = self._modes
        log_kept = jnp.asarray(log_kept)[..., None]
        # Where nothing is kept that is 0 times infinity for the mode that does not decay.
        lost = jnp.where(decays > 0, jnp.expm1(decays * jnp.maximum(log_kept, -1e3)), 0.0)
        matrix = jnp.eye(self.num_levels) + (lost[..., None, :] * vectors) @ vectors.T
        matrix = jnp.maximum(matrix, jnp.finfo(matrix.dtype).tiny ** 0.8)  # beyond what was rounded
        return matrix / matrix.sum(axis=-1, keepdims=True)

    @property
    def _modes(self) -> tuple[Array, Array]:
        """Eigenvectors `(level, mode)`, and how fast each decays in units of the slowest that does."""
        modes = np.pi * np.arange(self.num_levels) / self.num_levels
        vectors = np.cos(modes * (np.arange(self.num_levels)[:, None] + 0.5))
        vectors /= np.linalg.norm(vectors, axis=0)
        decays = (1 - np.cos(modes)) / (1 - np.cos(modes[1]))
        return jnp.asarray(vectors, dtype=float), jnp.asarray(decays, dtype=float)


def uniform(num_levels: int) -> Resampled:
    """With probability beta a level is drawn afresh, each as likely (Austin et al. 2021, A.2.1)."""
    num_levels = _at_least_two(num_levels)
    return Resampled(num_levels, (1 / num_levels,) * num_levels)


def resampled(pi: Sequence[float]) -> Resampled:
    """With probability beta a level is drawn afresh from `pi`, positive numbers that sum to 1, one for each level.

    **Raises:** `InputError` for anything else.
    """
    remedy = "use the shares of the levels in the data"
    rates = [number_in("pi", rate, 0, 1, expected="rates strictly between 0 and 1", remedy=remedy) for rate in pi]
    if len(rates) < 2 or not math.isclose(sum(rates), 1, rel_tol=1e-5):
        got = f"{len(rates)} with the sum {sum(rates):g}"
        raise InputError("pi", expected="rates of at least two levels that sum to 1", got=got, remedy=remedy)
    return Resampled(len(rates), tuple(rate / sum(rates) for rate in rates))


def absorbing(num_levels: int) -> Resampled:
    """With probability beta a level is masked, and stays so (Austin et al. 2021, A.2.2; Shi et al. 2024).

    The mask is one more state, K, which no datum has. The stationary law is the mask alone, and a chain comes to it
    where nothing of the data is left: the schedule must end with beta_T = 1, as `Erasure` does. A model that has
    learned nothing unmasks every level with the same probability; `null` is uniform over the levels.
    """
    num_levels = _at_least_two(num_levels)
    return Resampled(num_levels, (*(0.0,) * num_levels, 1.0))


def discretised_gaussian(num_levels: int) -> LatticeWalk:
    """A level moves to those near it: for levels that are in order, such as grey values (Austin et al. 2021, A.2.3).

    Their matrices have Gaussian entries but at the ends of the range, where they do not commute: the products for every
    t are K x K tables. These have Gaussian entries but for rounding to levels, and share their eigenvectors.
    """
    return LatticeWalk(_at_least_two(num_levels))


def _log_sum(a: Array, b: Array) -> Array:
    """log(exp a + exp b), with a gradient of 0 where both are -inf."""
    impossible = jnp.isneginf(a) & jnp.isneginf(b)
    safe_a, safe_b = (jnp.where(impossible, 0.0, log) for log in (a, b))
    return jnp.where(impossible, -jnp.inf, jnp.logaddexp(safe_a, safe_b))


def _at_least_two(num_levels: int) -> int:
    return whole_number("num_levels", num_levels, least=2, expected="at least 2", remedy="count the levels")
