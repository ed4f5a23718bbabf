"""Tables of instances that every law runs over: a new kernel, schedule or diffusion is tested by adding its line."""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import (
    AbstractKernel,
    BernoulliKernel,
    CategoricalKernel,
    GaussianKernel,
    absorbing,
    clean_rate,
    direct_levels,
    discretised_gaussian,
    noise_prediction,
    resampled,
    uniform,
    velocity,
)
from dpm_ppl.networks import SigmoidMLP, TimeMLP
from dpm_ppl.schedules import Cosine, Erasure, Fixed, Learned, LearnedLogSNR, Linear, LogSNR, Strided


def instance(*values, quick: bool, name: str | None = None):
    """Values of one test of a law: run always, or among the slow ones where other values cover what it would show."""
    return pytest.param(*values, id=name, marks=() if quick else pytest.mark.slow)


class Family(NamedTuple):
    """A kernel and the space of one coordinate: sums over `space` with `weights` are exact sums or integrals."""

    kernel: AbstractKernel
    space: np.ndarray
    weights: np.ndarray
    points: np.ndarray  # a few of them, for laws that hold at every point


# The trapezoidal rule is exact to rounding for densities whose standard deviation is several spacings.
REALS = (np.linspace(-12, 12, 2401), np.full(2401, 0.01), np.array([-1.5, 0.0, 0.3, 2.0]))
BITS = (np.array([0, 1]), np.ones(2), np.array([0, 1]))


def levels(num):
    return np.arange(num), np.ones(num), np.arange(num)


FAMILIES = {
    "gaussian": Family(GaussianKernel(), *REALS),
    "gaussian, velocity": Family(GaussianKernel(velocity), *REALS),
    "gaussian, noise prediction": Family(GaussianKernel(noise_prediction), *REALS),
    "bernoulli": Family(BernoulliKernel(), *BITS),
    "bernoulli, pi 0.2": Family(BernoulliKernel(0.2), *BITS),
    "bernoulli, clean rate": Family(BernoulliKernel(0.7, clean_rate), *BITS),
    "categorical, uniform": Family(CategoricalKernel(uniform(3)), *levels(3)),
    "categorical, resampled, direct": Family(CategoricalKernel(resampled((0.5, 0.2, 0.3)), direct_levels), *levels(3)),
    "categorical, absorbing": Family(CategoricalKernel(absorbing(2)), *levels(3)),
    "categorical, absorbing, direct": Family(CategoricalKernel(absorbing(2), direct_levels), *levels(3)),
    "categorical, discretised gaussian": Family(CategoricalKernel(discretised_gaussian(4)), *levels(4)),
}

SCHEDULES = {
    "erasure": Erasure,
    "erasure, small first": lambda num_steps: Erasure(num_steps, beta_1=0.01),
    "linear": Linear,
    "cosine": Cosine,
    "log-snr": lambda num_steps: LogSNR(num_steps, first=5.0, last=-5.0),
    "fixed": lambda num_steps: Fixed(np.random.default_rng(0).uniform(0.05, 1.0, num_steps)),
    "learned": lambda num_steps: Learned(Erasure(num_steps, beta_1=0.01)),
    "strided": lambda num_steps: Strided(LogSNR(3 * num_steps, first=5.0, last=-5.0), num_steps),
    "learned log-snr": lambda num_steps: LearnedLogSNR(num_steps, first=5.0, last=-5.0),
}


NETWORKS = {
    "time": partial(TimeMLP, width=4, depth=1, num_time_frequencies=1),
    "sigmoid": partial(SigmoidMLP, widths=(4,)),
}


def small(kernel, schedule, event_shape=(2,), *, edge="fixed", network="time", scale=0.5) -> Diffusion:
    """A diffusion with a small network and random parameters, larger with `scale`."""
    sizes = (event_shape, kernel.num_outputs, schedule.num_steps)
    form = eqx.filter_eval_shape(lambda: NETWORKS[network](*sizes, key=jax.random.key(0)))  # nothing is computed
    rng = np.random.default_rng(0)

    def fill(leaf):
        return jnp.asarray(scale * rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[-1]), leaf.dtype)

    return Diffusion(kernel, schedule, jax.tree.map(fill, form), event_shape, edge)


DIFFUSIONS = {
    "gaussian": lambda: small(GaussianKernel(), Erasure(8, beta_1=0.01)),
    "gaussian, noise prediction, learned edge": lambda: small(
        GaussianKernel(noise_prediction), Cosine(6), (2, 3), edge="learned"
    ),
    "gaussian, scalar data, learned schedule": lambda: small(GaussianKernel(), Learned(Linear(7)), ()),
    "bernoulli": lambda: small(BernoulliKernel(0.2), Erasure(8), (5,), network="sigmoid"),
    "bernoulli, clean rate, learned edge": lambda: small(
        BernoulliKernel(0.5, clean_rate), Erasure(6), (2, 2), edge="learned"
    ),
    "categorical, discretised gaussian": lambda: small(CategoricalKernel(discretised_gaussian(3)), Erasure(6), (3,)),
}


def draw_data(diffusion: Diffusion, num: int, seed: int = 0) -> jax.Array:
    """Data of the right kind that are not the stationary law's, shape `(num, *event_shape)`."""
    rng = np.random.default_rng(seed)
    shape = (num, *diffusion.event_shape)
    if isinstance(diffusion.kernel, CategoricalKernel):
        return jnp.asarray(rng.binomial(diffusion.kernel.num_levels - 1, 0.35, size=shape))
    if diffusion.stationary().support.is_discrete:
        return jnp.asarray(rng.uniform(size=shape) < 0.35, int)
    return jnp.asarray(0.3 + 0.6 * rng.normal(size=shape), float)
