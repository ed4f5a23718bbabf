"""The exact twist of linear chains: reverse means that are linear in x_t, variances that do not depend on it.

Then y given x_t is normal, N(A_t x_t + b_t, S_t). The recursion goes from the last step upwards, A_t = A_{t-1} F_t and
S_t = S_{t-1} + A_{t-1} V_t A_{t-1}'. Every particle has the same weight: the evidence comes without any error.
"""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.types import Array, Batch, Float
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.observations import NormalLinear
from dpm_ppl.posterior.prediction import stationary
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.gaussian import measured_exactly
from dpm_ppl.posterior.twists.remembered import of_the_last_chain
from dpm_ppl.posterior.twists.tilts import AbstractTilt, ByMeasurements, log_normal, normal_step
from dpm_ppl.schedules.steps import Step

MOST_ENTRIES = 2_000_000
"""Of the matrices of all steps, beyond which no chain is looked at closely enough to be called linear."""


class LinearChainTwist(AbstractTwist):
    """`matrix[t - 1]`, `offset[t - 1]` and `covariance[t - 1]` say what y is given x_t, for t = 1 ... T."""

    observation: NormalLinear
    matrix: Float[Array, "T measurement coordinate"]
    offset: Float[Array, "T measurement"]
    covariance: Float[Array, "T measurement measurement"]
    ends_exactly: ClassVar[bool] = True

    def start(self, diffusion: StepLaws, num_particles: int) -> AbstractTilt:
        law = normal_step(stationary(diffusion, num_particles))
        return measured_exactly(law, self.matrix[-1], self.observation.value - self.offset[-1], self.covariance[-1])

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        prior, below = normal_step(diffusion.reverse(x_t, step)), step.t - 2
        value = self.observation.value - self.offset[below]
        tilt = measured_exactly(prior, self.matrix[below], value, self.covariance[below])
        return eqx.tree_at(lambda tilt: tilt.log_twist, tilt, self._log_twist(x_t, step.t - 1))

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        seen, prior = self.observation, normal_step(diffusion.edge_law(x_1))
        tilt: ByMeasurements = measured_exactly(prior, seen.matrix, seen.value, jnp.diag(seen.variance))
        return eqx.tree_at(lambda tilt: tilt.log_twist, tilt, self._log_twist(x_1, jnp.asarray(0)))

    def _log_twist(self, x_t: Batch, row: Array) -> Array:
        apart = self.observation.value - self.offset[row] - x_t.reshape(len(x_t), -1) @ self.matrix[row].T
        return log_normal(apart, jnp.broadcast_to(self.covariance[row], (len(x_t), *self.covariance.shape[1:])))


class LinearLaws(NamedTuple):
    """The reverse laws of a linear chain: x_{t-1} ~ N(slopes[t-1] x_t + offsets[t-1], variances[t-1])."""

    slopes: Float[Array, "T coordinate coordinate"]
    offsets: Float[Array, "T coordinate"]
    variances: Float[Array, "T coordinate"]


def linear_chain_twist(diffusion: StepLaws, observation: NormalLinear) -> LinearChainTwist | None:
    """The exact twist, or None where the chain is not linear, or too large to be looked at."""
    laws = _linear_laws(diffusion)
    return None if laws is None else _twist(laws, observation)


@eqx.filter_jit
def _twist(laws: LinearLaws, seen: NormalLinear) -> LinearChainTwist:
    def up(carry: tuple, law: LinearLaws) -> tuple[tuple, tuple]:
        matrix, offset, covariance = carry
        slope, shift, variance = law
        above = matrix @ slope, offset + matrix @ shift, covariance + (matrix * variance) @ matrix.T
        return above, above

    none = seen.matrix, jnp.zeros_like(seen.value), jnp.diag(seen.variance)
    _, (matrix, offset, covariance) = jax.lax.scan(up, none, laws)
    return LinearChainTwist(seen, matrix, offset, covariance)


@of_the_last_chain
def _linear_laws(diffusion: StepLaws) -> LinearLaws | None:
    if diffusion.num_steps * diffusion.num_coordinates**2 > MOST_ENTRIES or not _may_be_linear(diffusion):
        return None
    laws = _laws_of_all_steps(diffusion)
    return laws if _is_linear(diffusion, laws) else None


def _mean_and_variance(diffusion: StepLaws, x: Array, step: Step) -> tuple[Array, Array]:
    at = x.reshape(1, *diffusion.event_shape)
    if diffusion.edge == "fixed":
        first, other = normal_step(diffusion.transition(at, step)), normal_step(diffusion.reverse(at, step))
        is_first = step.t == 1
        mean = jnp.where(is_first, first.mean, other.mean)
        variance = jnp.where(is_first, first.scale**2, other.scale**2)
    else:
        law = normal_step(diffusion.reverse(at, step))
        mean, variance = law.mean, law.scale**2
    return mean.ravel(), variance.ravel()


@eqx.filter_jit
def _laws_of_all_steps(diffusion: StepLaws) -> LinearLaws:
    none = jnp.zeros(diffusion.num_coordinates)

    def of_step(step: Step) -> tuple[Array, Array, Array]:
        slope = jax.jacfwd(lambda x: _mean_and_variance(diffusion, x, step)[0])(none)
        mean, variance = _mean_and_variance(diffusion, none, step)
        return slope, mean, variance

    return LinearLaws(*jax.lax.map(of_step, diffusion.steps))


@eqx.filter_jit
def _bends(diffusion: StepLaws) -> tuple[Array, Array]:
    """By how many deviations a mean halfway between two points misses the middle of theirs, over all steps."""
    x = jax.random.normal(jax.random.key(0), (diffusion.num_coordinates,))

    def of_step(step: Step) -> tuple[Array, Array]:
        (above, variance), (below, _), (middle, _) = (
            _mean_and_variance(diffusion, factor * x, step) for factor in (1.0, -1.0, 0.0)
        )
        return jnp.abs(above + below - 2 * middle).max() / jnp.sqrt(variance.min()), variance.min()

    bend, variance = jax.lax.map(of_step, diffusion.steps)
    return bend.max(), variance.min()


def _may_be_linear(diffusion: StepLaws) -> bool:
    """A quick look, by three points and no derivatives, that almost every trained network fails."""
    bend, variance = _bends(diffusion)
    return float(bend) <= 4 * _rounding(variance)


def _rounding(variance: Array) -> float:
    """What a miss in deviations of the smallest step may be: a mean near 3 is rounded to a few 1e-7."""
    return max(64 * float(jnp.finfo(variance.dtype).eps) / float(jnp.sqrt(variance)), 1e-5)


def _is_linear(diffusion: StepLaws, laws: LinearLaws) -> bool:
    """Whether at three points far apart the laws are what their slopes at 0 say."""
    points = np.random.default_rng(0).normal(size=(3, diffusion.num_coordinates)) * np.array([[0.3], [1.0], [3.0]])
    misses = [_furthest(diffusion, laws, jnp.asarray(point, laws.offsets.dtype)) for point in points]
    rounding = _rounding(laws.variances.min())
    return all(float(away) <= rounding and float(ratio) <= 1e-4 for away, ratio in misses)


@eqx.filter_jit
def _furthest(diffusion: StepLaws, laws: LinearLaws, x: Array) -> tuple[Array, Array]:
    """The largest miss over all steps, of the mean in deviations and of the variance as a logarithm."""

    def of_step(inputs: tuple) -> tuple[Array, Array]:
        step, (slope, offset, variance) = inputs
        mean, there = _mean_and_variance(diffusion, x, step)
        apart = jnp.abs(mean - slope @ x - offset) / jnp.sqrt(variance)
        return apart.max(), jnp.abs(jnp.log(there / variance)).max()

    away, ratio = jax.lax.map(of_step, (diffusion.steps, laws))
    return away.max(), ratio.max()
