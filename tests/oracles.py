"""Reverse chains that are known to be the best there are, and a kernel whose draws average quadratics exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, log_softmax, logsumexp

from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.schedules import AbstractSchedule
from tests import reference


def as_given(location, scale, x_t, step):
    """A readout whose outputs are the mean and the log variance themselves."""
    forward = jnp.exp(0.5 * step.log_alpha) * x_t
    return (location - forward) * jnp.exp(-0.5 * step.log_beta), scale - step.log_beta


class SigmaPoints(NormalStep):
    """A normal law whose draws lie one standard deviation above and below the mean, in turn along the first axis.

    Averages of a quadratic function over an even number of them are exact.
    """

    def noise_at(self, uniform):
        signs = 1.0 - 2.0 * (jnp.arange(len(uniform)) % 2)
        return jnp.ones_like(uniform) * signs.reshape(-1, *[1] * (uniform.ndim - 1))

    def sample(self, key, sample_shape=()):
        return self.at(self.noise_at(jnp.zeros((*sample_shape, *self.batch_shape))))


class SigmaPointKernel(GaussianKernel):
    """The Gaussian kernel with exact averages over x_t, where all that depends on it is quadratic."""

    def marginal(self, x_0, step):
        law = GaussianKernel.marginal(self, x_0, step)
        return SigmaPoints(law.start, law.log_unit, law.displacement)


class LinearNetwork(AbstractNetwork):
    """Mean and log variance of a linear reverse chain, for the readout `as_given`."""

    slope: jax.Array
    log_variance: jax.Array

    def __call__(self, x_t, step):
        slope, log_variance = self.slope[step.t - 1], self.log_variance[step.t - 1]
        return jnp.stack([slope * x_t, jnp.broadcast_to(log_variance, x_t.shape)], axis=-1)


def linear_diffusion(schedule: AbstractSchedule, reverse: reference.LinearReverse, kernel=GaussianKernel) -> Diffusion:
    """Scalar data under a linear reverse chain; the two are independent for every coordinate, so one says all."""
    network = LinearNetwork(jnp.asarray(reverse.slope), jnp.log(jnp.asarray(reverse.variance)))
    return Diffusion(kernel(as_given), schedule, network, ())


class AtRest(AbstractNetwork):
    """Zero outputs: nothing learned."""

    num_outputs: int = eqx.field(static=True)

    def __call__(self, x_t, step):
        return jnp.zeros((*x_t.shape, self.num_outputs))


class GaussianOracle(AbstractNetwork):
    """The mean of the best reverse chain for data from N(0, s2) at the variance of the forward kernel, which is best
    for short steps; for readouts of a velocity.
    """

    s2: jax.Array

    def __call__(self, x_t, step):
        variance = step.alpha_bar * self.s2 + step.noise
        location = jnp.exp(0.5 * (step.log_alpha_bar + step.log_noise)) * (1 - self.s2) / variance * x_t
        return jnp.stack([location, jnp.zeros_like(x_t)], axis=-1)


class PointOracle(AbstractNetwork):
    """The best reverse kernel for Gaussian data that all lie at one point, for the readout `as_given`."""

    point: float = eqx.field(static=True)

    def __call__(self, x_t, step):
        law = GaussianKernel().bridge(x_t, jnp.full_like(x_t, self.point), step)
        return jnp.stack([law.mean, jnp.log(law.variance)], axis=-1)


class AtomsOracle(AbstractNetwork):
    """The best factorised reverse kernel for bits whose data are a few known vectors, the atoms."""

    kernel: BernoulliKernel
    atoms: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    weights: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, x_t, step):
        atoms = jnp.asarray(self.atoms)
        log_likelihood = self.kernel.marginal(atoms, step).log_prob(x_t).sum(axis=1)
        log_posterior = log_softmax(jnp.log(jnp.asarray(self.weights)) + log_likelihood)[:, None]
        if self.kernel.readout is clean_rate:
            log_on, log_off = (jnp.where(atoms == bit, log_posterior, -jnp.inf) for bit in (1, 0))
            start = self.kernel.prior_logit + self.kernel.evidence(x_t, step.log_alpha_bar, step.log_noise)
        else:
            logits = self.kernel.bridge(jnp.broadcast_to(x_t, atoms.shape), atoms, step).logits
            log_on, log_off = (log_posterior + log_sigmoid(sign * logits) for sign in (1, -1))
            start = self.kernel.transition(x_t, step).logits
        return (logsumexp(log_on, axis=0) - logsumexp(log_off, axis=0) - start)[:, None]


def atoms_diffusion(kernel: BernoulliKernel, schedule: AbstractSchedule, atoms: np.ndarray, weights=None) -> Diffusion:
    weights = np.full(len(atoms), 1 / len(atoms)) if weights is None else weights
    oracle = AtomsOracle(kernel, tuple(map(tuple, atoms.tolist())), tuple(map(float, weights)))
    return Diffusion(kernel, schedule, oracle, (atoms.shape[1],))
