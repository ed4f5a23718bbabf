"""The twist for many measurements: a normal law of x_0 around its prediction, with the covariance of an average x_t.

Coordinates that hang together, such as the pixels of a picture, cannot be taken one by one, and a backward pass for
each measurement takes too long. So the covariance of what the prediction misses is measured once, on paths of the chain
itself, at every step: E Cov(x_0 | x_t), shrunk towards independent coordinates as far as so few paths leave it
uncertain. All particles of a step share its matrices.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from dpm_ppl._common.memory import size_within_budget
from dpm_ppl._common.types import Array, Batch, Cost, Float, Int, PRNGKey
from dpm_ppl.diffusion.sampling import dtype_of_draws
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.posterior.observations import NormalLinear
from dpm_ppl.posterior.prediction import Predicted, predict, reach, stationary
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.gaussian import MOST_EXPLAINED, measured_exactly
from dpm_ppl.posterior.twists.remembered import of_the_last_chain
from dpm_ppl.posterior.twists.tilts import AbstractOfNormalStep, AbstractTilt, log_normal_of_whitened, normal_step
from dpm_ppl.schedules.steps import Step

NUM_PATHS, FEWEST_PATHS = 512, 16
"""As many as the memory budget allows, of these."""
MOST_COORDINATES = 1024
"""Beyond which no matrix of the size of a datum is formed."""
MOST_ENTRIES = 2**25
"""Of all matrices that are kept; with longer chains several steps share one."""


class Misses(eqx.Module):
    """What a prediction of x_0 misses, at the steps t = 2 ... T in this order, of the average x_t."""

    deviation: Float[Array, "step coordinate"]
    correlation: Float[Array, "kept coordinate coordinate"]
    step_deviation: Float[Array, "step coordinate"]
    """Root mean square of the deviations of the reverse step."""
    largest: Float[Array, " step"]
    """At least the largest eigenvalue of the covariance in units of the step's deviations."""
    every: int = eqx.field(static=True)
    """How many steps share one correlation."""

    def at(self, t: Int[Array, ""]) -> tuple[Array, Array]:
        """The covariance of x_0 given the average x_t, and the deviation of the step from there."""
        deviation = self.deviation[t - 2]
        return deviation[:, None] * self.correlation[(t - 2) // self.every] * deviation, self.step_deviation[t - 2]


class Average(AbstractTwist):
    """For linear measurements of a Gaussian diffusion; `misses` is measured by `measure_misses`."""

    observation: NormalLinear
    misses: Misses
    ends_exactly: ClassVar[bool] = True

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        seen, known = self.observation, predict(diffusion, x_t, step)
        covariance, deviation = self.misses.at(step.t)
        crossed = seen.matrix @ covariance
        measured = crossed @ seen.matrix.T + jnp.diag(seen.variance)
        slopes = crossed * (reach(step) / deviation)
        # What the step explains must leave something of every combination of the measurements.
        explained = reach(step) ** 2 * self.misses.largest[step.t - 2]
        slopes = slopes * jnp.sqrt(jnp.minimum(1.0, MOST_EXPLAINED / explained))
        law = Covariances.of(measured, measured - slopes @ slopes.T)
        apart = seen.value - known.mean.reshape(len(x_t), -1) @ seen.matrix.T
        return OfSharedMeasurements(law.log_normal(0, apart), known.reverse, apart, slopes, law)

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        seen, prior = self.observation, normal_step(diffusion.edge_law(x_1))
        return measured_exactly(prior, seen.matrix, seen.value, jnp.diag(seen.variance))


def average_twist(diffusion: StepLaws, observation: NormalLinear) -> Average | None:
    """The twist, or None where a datum is too large for matrices of its size."""
    return Average(observation, _misses(diffusion)) if diffusion.num_coordinates <= MOST_COORDINATES else None


@of_the_last_chain
def _misses(diffusion: StepLaws) -> Misses:
    num_paths = size_within_budget(_predicted, diffusion, dtype_of_draws(diffusion), given=None, most=NUM_PATHS)
    # The same paths every time: a twist may be anything, but must not depend on the particles that it leads.
    return measure_misses(diffusion, jax.random.key(0), max(num_paths, FEWEST_PATHS))


def _predicted(diffusion: StepLaws, dtype: Any, num: int) -> Predicted:
    x_t = jnp.zeros((num, *diffusion.event_shape), dtype)
    return predict(diffusion, x_t, jax.tree.map(lambda leaf: leaf[-1], diffusion.steps))


class Covariances(eqx.Module):
    """Of some normal laws; their Cholesky factors, and the inverses of these.

    All that is asked of them afterwards are products: many small solutions would keep the threads of a BLAS waiting
    for each other.
    """

    roots: Float[Array, "law measurement measurement"]
    whiteners: Float[Array, "law measurement measurement"]

    @classmethod
    def of(cls, *covariances: Float[Array, "measurement measurement"]) -> "Covariances":
        roots = jnp.linalg.cholesky(jnp.stack(covariances))
        ones = jnp.broadcast_to(jnp.eye(roots.shape[-1], dtype=roots.dtype), roots.shape)
        return cls(roots, solve_triangular(roots, ones, lower=True))

    def log_normal(self, law: int, apart: Float[Array, "particle measurement"]) -> Cost:
        """Log-densities of one of the laws, centred."""
        return log_normal_of_whitened(apart @ self.whiteners[law].T, self.roots[law])


class OfSharedMeasurements(AbstractOfNormalStep):
    """Times N(apart; slopes noise, left), where all but `apart` is shared by the particles.

    `covariances` are slopes slopes' + left, and left.
    """

    log_twist: Cost
    prior: NormalStep
    apart: Float[Array, "particle measurement"]
    slopes: Float[Array, "measurement coordinate"]
    covariances: Covariances

    def of(self, ancestors: Int[Array, " particle"]) -> "OfSharedMeasurements":
        own = (self.log_twist, self.prior, self.apart)
        log_twist, prior, apart = jax.tree.map(lambda leaf: leaf[ancestors], own)
        return OfSharedMeasurements(log_twist, prior, apart, self.slopes, self.covariances)

    def noise(self, key: PRNGKey) -> Batch:
        key, measurement_key = jax.random.split(key)
        noise = self._noise(key)
        own = jax.random.normal(measurement_key, self.apart.shape, self.apart.dtype) @ self.covariances.roots[1].T
        whitener = self.covariances.whiteners[0]
        miss = self.apart - self._measured(noise) - own
        return noise + (miss @ whitener.T @ (whitener @ self.slopes)).reshape(noise.shape)

    def log_ratio_at(self, noise: Batch) -> Cost:
        miss = self.apart - self._measured(noise)
        return self.covariances.log_normal(1, miss) - self.covariances.log_normal(0, self.apart)

    def _measured(self, noise: Array) -> Array:
        return noise.reshape(len(noise), -1) @ self.slopes.T


@eqx.filter_jit
def measure_misses(diffusion: StepLaws, key: PRNGKey, num_paths: int = NUM_PATHS) -> Misses:
    """Descend twice along the same paths: the first time to see where they end, the second to see what was missed."""
    size, num_steps = diffusion.num_coordinates, diffusion.num_steps - 1
    every = -(-num_steps * size**2 // MOST_ENTRIES)

    def down(x_t: Batch, step: Step) -> Batch:
        return diffusion.reverse(x_t, step).sample(jax.random.fold_in(key, step.t))

    def again(carry: tuple[Batch, Array], step: Step) -> tuple[tuple[Batch, Array], tuple[Array, Array, Array]]:
        x_t, correlation = carry
        known = predict(diffusion, x_t, step)
        miss = x_0 - known.mean.reshape(num_paths, size)
        deviation = jnp.sqrt((miss**2).mean(axis=0))
        place = (step.t - 2) // every
        # Steps that share a correlation take that of the last of them, where x_0 is least known.
        is_new = ((step.t - 1) % every == 0) | (step.t == num_steps + 1)
        kept = jax.lax.cond(is_new, lambda: _shrunk(miss / deviation), lambda: correlation[place])
        spread = jnp.sqrt((known.reverse.scale**2).mean(axis=0)).ravel()
        ratio = deviation / spread
        largest = _largest_eigenvalue(ratio[:, None] * kept * ratio)
        return (down(x_t, step), correlation.at[place].set(kept)), (deviation, spread, largest)

    x_T = stationary(diffusion, num_paths).sample(jax.random.fold_in(key, num_steps + 2))
    x_1, _ = jax.lax.scan(lambda x_t, step: (down(x_t, step), None), x_T, diffusion.steps[1:], reverse=True)
    x_0 = diffusion.edge_law(x_1).sample(jax.random.fold_in(key, 1)).reshape(num_paths, size)
    none = jnp.zeros((-(-num_steps // every), size, size), x_0.dtype)
    (_, correlation), of_steps = jax.lax.scan(again, (x_T, none), diffusion.steps[1:], reverse=True)
    deviation, spread, largest = of_steps
    return Misses(deviation, correlation, spread, largest, every)


def _shrunk(relative: Float[Array, "path coordinate"]) -> Float[Array, "coordinate coordinate"]:
    """The correlation of these, drawn towards none by what its entries are uncertain by (Schäfer and Strimmer 2005)."""
    num, size = relative.shape
    found = relative.T @ relative / num
    others = 1 - jnp.eye(size)
    uncertain = (others * (1 + found**2)).sum() / num
    share = jnp.clip(uncertain / jnp.maximum((others * found**2).sum(), jnp.finfo(found.dtype).tiny), 0.01, 1.0)
    return (1 - share) * found + share * jnp.eye(size)


def _largest_eigenvalue(matrix: Float[Array, "coordinate coordinate"]) -> Float[Array, ""]:
    """A bound from above, a few per cent too large, of a positive matrix: the root of the trace of its 16th power."""
    trace = jnp.trace(matrix)
    power = matrix / trace
    for _ in range(3):
        power = power @ power
    return trace * (power**2).sum() ** (1 / 16)
