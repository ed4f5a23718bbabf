"""Twists for normal observations of real data: a normal law of x_0 around what the reverse law predicts.

With p(x_0 | x_t) taken to be N(m_t(x_t), C_t), both r_t(x_t) = N(y; A m_t, A C_t A' + noise) and what x_{t-1} says of
the observation are normal, and so is the best move. C_t is the variance of each coordinate that the reverse law implies
(`ByVariance`), or the whole covariance along the measurements from the derivative of m_t (`ByJacobian`: Tweedie's
formula to second order, noise_t / sqrt(alpha_bar_t) dm_t/dx_t), which takes one backward pass per measurement.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Array, Batch
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.posterior.observations import NormalCoordinates, NormalLinear
from dpm_ppl.posterior.prediction import Predicted, predict, reach
from dpm_ppl.posterior.twists.base import AbstractTwist
from dpm_ppl.posterior.twists.tilts import (
    AbstractTilt,
    ByCoordinates,
    ByMeasurements,
    log_normal,
    normal_step,
    over_event,
)
from dpm_ppl.schedules.steps import Step

MOST_EXPLAINED = 0.999
"""Share of the variance of a measurement that x_{t-1} may be taken to explain."""
LEAST_LOG_SIGNAL = -20.0
"""log alpha_bar_t below which derivatives by x_t say nothing of x_0."""
LITTLE_SIGNAL = 0.003
"""alpha_bar_t below which little weight is given to them."""
LEAST_RATIO = 0.05
"""Of the variance of a measurement and that which it would have if the coordinates were independent."""


class ByVariance(AbstractTwist):
    """For observed coordinates, with the variance of each; everything is done coordinate by coordinate."""

    observation: NormalCoordinates
    ends_exactly: ClassVar[bool] = True

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        known = predict(diffusion, x_t, step)
        deviation = known.reverse.scale
        slope = reach(step) * known.variance / deviation
        left = jnp.maximum(known.variance - slope**2, (1 - MOST_EXPLAINED) * known.variance)
        return self._tilted(known.mean, known.reverse, slope, known.variance, left)

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        step = normal_step(diffusion.edge_law(x_1))
        return self._tilted(step.mean, step, step.scale, step.scale**2, jnp.zeros_like(step.scale))

    def _tilted(self, mean: Batch, prior: NormalStep, slope: Batch, variance: Batch, left: Batch) -> AbstractTilt:
        seen = self.observation
        apart = jnp.where(seen.seen, seen.value - mean, 0.0)
        total = variance + seen.variance
        log_twist = over_event(jnp.where(seen.seen, -0.5 * (apart**2 / total + jnp.log(2 * jnp.pi * total)), 0.0))
        slope = jnp.where(seen.seen, slope, 0.0)
        return ByCoordinates(log_twist, prior, apart, slope, jnp.where(seen.seen, left + seen.variance, 1.0))


class OfMeasurements(AbstractTwist):
    """For linear measurements; `with_jacobian` says which covariance of x_0 is used."""

    observation: NormalLinear
    with_jacobian: bool
    ends_exactly: ClassVar[bool] = True

    def step(self, diffusion: StepLaws, x_t: Batch, step: Step) -> AbstractTilt:
        seen = self.observation
        mean, prior, crossed, measured = self._prediction(diffusion, x_t, step)
        measured = measured + jnp.diag(seen.variance)
        deviation = prior.scale.reshape(len(x_t), 1, -1)
        slopes, left = _within(reach(step) * crossed / deviation, measured)
        apart = seen.value - mean.reshape(len(x_t), -1) @ seen.matrix.T
        return ByMeasurements(log_normal(apart, measured), prior, apart, slopes, left)

    def finish(self, diffusion: StepLaws, x_1: Batch) -> AbstractTilt:
        seen, prior = self.observation, normal_step(diffusion.edge_law(x_1))
        return measured_exactly(prior, seen.matrix, seen.value, jnp.diag(seen.variance))

    def _prediction(self, diffusion: StepLaws, x_t: Batch, step: Step) -> tuple[Batch, NormalStep, Array, Array]:
        """Mean of x_0, the reverse law, and the covariances of the measurements with x_0 and with each other."""
        rows = self.observation.matrix

        def mean_of(x_t: Batch) -> tuple[Batch, Predicted]:
            known = predict(diffusion, x_t, step)
            return known.mean, known

        mean, pull, known = jax.vjp(mean_of, x_t, has_aux=True)
        variance = known.variance.reshape(len(x_t), 1, -1)
        by_variance = rows * variance
        measured = jnp.einsum("pmc,nc->pmn", by_variance, rows)
        if not self.with_jacobian:
            return mean, known.reverse, by_variance, measured

        def against(row: Array) -> Array:
            (product,) = pull(jnp.broadcast_to(row.reshape(x_t.shape[1:]), x_t.shape).astype(mean.dtype))
            return product.reshape(len(x_t), -1)

        crossed = jnp.moveaxis(jax.vmap(against)(rows), 0, 1)
        # The less of x_0 is left in x_t, the more a network's error in the derivative is magnified.
        trust = (step.alpha_bar / (step.alpha_bar + LITTLE_SIGNAL)) ** 2
        factor = trust * jnp.exp(step.log_noise - 0.5 * jnp.maximum(step.log_alpha_bar, LEAST_LOG_SIGNAL))
        crossed = factor * crossed + (1 - trust) * by_variance
        measured = _credible(jnp.einsum("pmc,nc->pmn", crossed, rows), measured)
        most = jnp.sqrt(variance * jnp.diagonal(measured, axis1=1, axis2=2)[..., None])
        return mean, known.reverse, jnp.clip(crossed, -most, most), measured


def measured_exactly(prior: NormalStep, matrix: Array, value: Array, covariance: Array) -> ByMeasurements:
    """A normal law of every particle times N(value; matrix x, covariance)."""
    num = prior.batch_shape[0]
    slopes = matrix * prior.scale.reshape(num, 1, -1)
    apart = value - prior.mean.reshape(num, -1) @ matrix.T
    total = jnp.einsum("pic,pjc->pij", slopes, slopes) + covariance
    return ByMeasurements(log_normal(apart, total), prior, apart, slopes, jnp.broadcast_to(covariance, total.shape))


def _credible(covariance: Array, of_independent: Array) -> Array:
    """The nearest matrices that may be covariances, given those that independent coordinates would have.

    The derivative of a network need not be one. Coordinates that hang together can make a measurement vary more than
    independent ones would, or less; it is never taken to be known much better than it would be of these.
    """
    size = covariance.shape[-1]
    scale = jnp.trace(of_independent, axis1=1, axis2=2)[:, None, None] / size
    root = jnp.linalg.cholesky(of_independent + 1e-6 * scale * jnp.eye(size))
    half = jax.scipy.linalg.solve_triangular(root, covariance, lower=True)
    relative = jax.scipy.linalg.solve_triangular(root, jnp.swapaxes(half, 1, 2), lower=True)
    values, vectors = jnp.linalg.eigh(0.5 * (relative + jnp.swapaxes(relative, 1, 2)))
    spread = root @ (vectors * jnp.sqrt(jnp.maximum(values, LEAST_RATIO))[:, None, :])
    return spread @ jnp.swapaxes(spread, 1, 2)


def _within(slopes: Array, measured: Array) -> tuple[Array, Array]:
    """The slopes, made smaller where they would explain more of a measurement than there is; and what they leave."""
    root = jnp.linalg.cholesky(measured)
    whitened = jax.scipy.linalg.solve_triangular(root, slopes, lower=True)
    explained = jnp.linalg.eigvalsh(jnp.einsum("pic,pjc->pij", whitened, whitened))[..., -1]
    kept = jnp.minimum(1.0, MOST_EXPLAINED / jnp.maximum(explained, MOST_EXPLAINED))[..., None, None]
    slopes = slopes * jnp.sqrt(kept)
    return slopes, measured - jnp.einsum("pic,pjc->pij", slopes, slopes)
