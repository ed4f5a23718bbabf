"""Laws of one step tilted by what is known of the observation.

Normal ones are written in the deviations of the step they start from, as `NormalStep` is, so that a step of 1e-5 is not
lost beside a value of 3: a move is the prior's mean plus its deviation times a noise, and the tilt acts on the noise.
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jax.scipy.special import logsumexp

from dpm_ppl._common.numpyro_seam import BernoulliLogits, CategoricalLogits, Distribution, Normal
from dpm_ppl._common.types import Array, Batch, Cost, Float, Int, PRNGKey
from dpm_ppl.kernels._levels import LevelLaw, padded
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.posterior.prediction import coordinates, log_levels
from dpm_ppl.schedules.steps import Step


class AbstractTilt(eqx.Module):
    """For every particle a law of where it moves next: prior(x) L(x) / Z, with the prior that the chain itself has.

    `log_twist` is log r_t of the points it starts from, `(particle,)`.
    """

    log_twist: eqx.AbstractVar[Cost]

    def of(self, ancestors: Int[Array, " particle"]) -> "AbstractTilt":
        """The laws of these particles; some of them may be chosen more than once."""
        return jax.tree.map(lambda leaf: leaf[ancestors], self)

    @abc.abstractmethod
    def sample(self, key: PRNGKey) -> Batch:
        """One move of each particle."""

    @abc.abstractmethod
    def log_ratio(self, x: Batch) -> Cost:
        """log L(x) - log Z: how much likelier the law makes these moves than the prior."""

    @abc.abstractmethod
    def log_prior(self, x: Batch) -> Cost:
        """The log-density of these moves under the chain itself."""

    def corrected(self, outputs: Array, step: Step) -> "AbstractTilt":
        """This law moved by numbers that a network has learned, `(particle, *event_shape, num_outputs)`.

        Zeros leave it as it is, and so does a law that knows no correction.
        """
        return self


def normal_step(law: Distribution) -> NormalStep:
    """A law of real coordinates as a step; the stationary law starts from 0 and has the unit 1."""
    each = coordinates(law)
    if isinstance(each, NormalStep):
        return each
    return NormalStep(jnp.zeros_like(each.mean), jnp.zeros_like(each.mean), each.mean)


def over_event(terms: Array) -> Cost:
    """The sum over all axes but the first, the particles."""
    return terms.reshape(len(terms), -1).sum(axis=1)


LEAST_VARIANCE = 1e-30
MOST_LOG_SCALE = 1.0
"""Of the spread of a corrected step."""


class AbstractOfNormalStep(AbstractTilt):
    """A tilted normal step, by a tilt that acts on its noise."""

    prior: eqx.AbstractVar[NormalStep]

    @abc.abstractmethod
    def noise(self, key: PRNGKey) -> Batch:
        """One noise of each particle."""

    @abc.abstractmethod
    def log_ratio_at(self, noise: Batch) -> Cost:
        """How much likelier the law makes these noises than N(0, 1) does, as a logarithm."""

    def sample(self, key: PRNGKey) -> Batch:
        return self.prior.at(self.noise(key))

    def log_ratio(self, x: Batch) -> Cost:
        return self.log_ratio_at(self.prior.noise_of(x))

    def log_prior(self, x: Batch) -> Cost:
        return over_event(self.prior.log_prob(x))

    def corrected(self, outputs: Array, step: Step) -> "AbstractTilt":
        # The more of the noise is new in a step, the further a correction can take it.
        shift = jnp.exp(0.5 * step.log_noise_gain) * outputs[..., 0]
        log_scale = jnp.exp(step.log_noise_gain) * MOST_LOG_SCALE * jnp.tanh(outputs[..., 1] / MOST_LOG_SCALE)
        return Corrected(self.log_twist, self.prior, self, shift, log_scale)

    def _noise(self, key: PRNGKey) -> Array:
        return jax.random.normal(key, self.prior.batch_shape, self.prior.displacement.dtype)


class Corrected(AbstractOfNormalStep):
    """The noise of another law, spread by exp(`log_scale`) and moved by `shift`."""

    log_twist: Cost
    prior: NormalStep
    base: AbstractOfNormalStep
    shift: Batch
    log_scale: Batch

    def of(self, ancestors: Int[Array, " particle"]) -> "Corrected":
        own = (self.log_twist, self.prior, self.shift, self.log_scale)
        log_twist, prior, shift, log_scale = jax.tree.map(lambda leaf: leaf[ancestors], own)
        base: Any = self.base.of(ancestors)
        return Corrected(log_twist, prior, base, shift, log_scale)

    def noise(self, key: PRNGKey) -> Batch:
        return self.shift + jnp.exp(self.log_scale) * self.base.noise(key)

    def log_ratio_at(self, noise: Batch) -> Cost:
        before = (noise - self.shift) * jnp.exp(-self.log_scale)
        return self.base.log_ratio_at(before) + over_event(0.5 * (noise**2 - before**2) - self.log_scale)


class Untilted(AbstractTilt):
    """The chain's own move; `prior` is the law of one datum for each particle."""

    log_twist: Cost
    prior: Distribution

    def sample(self, key: PRNGKey) -> Batch:
        return self.prior.sample(key)

    def log_ratio(self, x: Batch) -> Cost:
        return jnp.zeros_like(self.log_twist)

    def log_prior(self, x: Batch) -> Cost:
        return self.prior.log_prob(x)

    def corrected(self, outputs: Array, step: Step) -> AbstractTilt:
        each = coordinates(self.prior)
        if isinstance(each, Normal):
            none = jnp.zeros(outputs.shape[:-1])
            return Shifted(self.log_twist, normal_step(self.prior), none).corrected(outputs, step)
        if isinstance(each, BernoulliLogits | CategoricalLogits):
            return ByLevels(self.log_twist, each, jnp.zeros_like(log_levels(each))).corrected(outputs, step)
        return self


class Shifted(AbstractOfNormalStep):
    """Every noise moved by a `shift`, the variance as it was (paper, eq. 61)."""

    log_twist: Cost
    prior: NormalStep
    shift: Batch

    def noise(self, key: PRNGKey) -> Batch:
        return self.shift + self._noise(key)

    def log_ratio_at(self, noise: Batch) -> Cost:
        return over_event(self.shift * noise - 0.5 * self.shift**2)


class ByCoordinates(AbstractOfNormalStep):
    """Times N(apart_i; slope_i noise_i, variance_i) for each coordinate; one that says nothing has slope 0."""

    log_twist: Cost
    prior: NormalStep
    apart: Batch
    slope: Batch
    variance: Batch

    def noise(self, key: PRNGKey) -> Batch:
        total = self._total
        return self.slope * self.apart / total + jnp.sqrt(self.variance / total) * self._noise(key)

    def log_ratio_at(self, noise: Batch) -> Cost:
        total = self._total
        known = (self.apart - self.slope * noise) ** 2 / self.variance + jnp.log(self.variance)
        return over_event(-0.5 * known) - self._log_normaliser(total)

    def _log_normaliser(self, total: Array) -> Cost:
        return over_event(-0.5 * (self.apart**2 / total + jnp.log(total)))

    @property
    def _total(self) -> Array:
        return self.slope**2 + self.variance


class ByMeasurements(AbstractOfNormalStep):
    """Times N(apart; slopes noise, covariance), for a few measurements of all coordinates together.

    Draws are made by the rule of Matheron: the prior's draw, moved by how far it and a noise of the measurement miss
    what was measured. So no matrix of the size of a datum is formed.
    """

    log_twist: Cost
    prior: NormalStep
    apart: Float[Array, "particle measurement"]
    slopes: Float[Array, "particle measurement coordinate"]
    covariance: Float[Array, "particle measurement measurement"]

    def noise(self, key: PRNGKey) -> Batch:
        key, measurement_key = jax.random.split(key)
        noise = self._noise(key)
        # What is known exactly has a variance of 0, of which the root must not be NaN.
        root = jnp.linalg.cholesky(self.covariance + LEAST_VARIANCE * jnp.eye(self.apart.shape[1]))
        own = jnp.einsum("pij,pj->pi", root, jax.random.normal(measurement_key, self.apart.shape, self.apart.dtype))
        miss = self.apart - self._measured(noise) - own
        moved = jnp.einsum("pmc,pm->pc", self.slopes, cho_solve((self._total_root, True), miss[..., None])[..., 0])
        return noise + moved.reshape(noise.shape)

    def log_ratio_at(self, noise: Batch) -> Cost:
        miss = self.apart - self._measured(noise)
        return log_normal(miss, self.covariance) - log_normal_of_root(self.apart, self._total_root)

    def _measured(self, noise: Array) -> Array:
        return jnp.einsum("pmc,pc->pm", self.slopes, noise.reshape(len(noise), -1))

    @property
    def _total_root(self) -> Array:
        return jnp.linalg.cholesky(jnp.einsum("pic,pjc->pij", self.slopes, self.slopes) + self.covariance)


class ByLevels(AbstractTilt):
    """Times a factor for each value of a coordinate, whose logarithms are `log_factors`; NaN says nothing."""

    log_twist: Cost
    prior: Distribution
    log_factors: Float[Array, "particle *event states"]

    def sample(self, key: PRNGKey) -> Batch:
        return LevelLaw(self._log_joint).sample(key)  # any value where none is possible: the weight is 0 then

    def log_ratio(self, x: Batch) -> Cost:
        chosen = jnp.take_along_axis(self.log_factors, x.astype(jnp.int32)[..., None], axis=-1)[..., 0]
        return over_event(chosen - logsumexp(self._log_joint, axis=-1))

    def log_prior(self, x: Batch) -> Cost:
        return over_event(self.prior.log_prob(x))

    def corrected(self, outputs: Array, step: Step) -> "AbstractTilt":
        is_of_bits = outputs.shape[-1] == 1  # of which a network gives log-odds
        outputs = jnp.pad(outputs, [(0, 0)] * (outputs.ndim - 1) + [(1, 0)]) if is_of_bits else outputs
        log_factors = self.log_factors + padded(outputs, self.log_factors.shape[-1])
        return eqx.tree_at(lambda tilt: tilt.log_factors, self, log_factors)

    @property
    def _log_joint(self) -> Array:
        return log_levels(self.prior) + jnp.where(jnp.isnan(self.log_factors), 0.0, self.log_factors)


def log_normal(apart: Array, covariance: Array) -> Cost:
    """Log-density at `apart`, `(..., measurement)`, of a centred normal law."""
    return log_normal_of_root(apart, jnp.linalg.cholesky(covariance))


def log_normal_of_root(apart: Array, root: Array) -> Cost:
    """The same from the Cholesky factor."""
    whitened = jax.scipy.linalg.solve_triangular(root, apart[..., None], lower=True)[..., 0]
    return log_normal_of_whitened(whitened, root)


def log_normal_of_whitened(whitened: Array, root: Array) -> Cost:
    """The same where the root has been divided out."""
    log_det = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    return -0.5 * ((whitened**2).sum(axis=-1) + whitened.shape[-1] * math.log(2 * math.pi)) - log_det
