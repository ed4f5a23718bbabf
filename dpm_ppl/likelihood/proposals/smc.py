"""Sequential Monte Carlo along the forward chain (Del Moral, Doucet and Jasra 2006).

Particles start at x_0 and move by q(x_t | x_{t-1}); each step multiplies their weights by
p(x_{t-1} | x_t) / T_pi(x_{t-1} | x_t), and where few of them carry most of the weight, they are resampled. The
particles after t steps stand for

    pi(x_t) psi_t(x_t) prod_{s<=t} p(x_{s-1} | x_s),    psi_T = 1,

and the product of the mean weights is an unbiased estimate of p(x_0), whatever the twists psi_t and the resampling.

The weights of trajectories that have come to x_t are

    p(x_0) * p(x_1 ... x_t | x_0) / q(x_1 ... x_t | x_0) * psi_t(x_t) pi(x_t) / p(x_t),

with p(x_t) and p(x_1 ... x_t | x_0) the reverse chain's. The first ratio is what the last weights vary by, and is 1 for
a reverse chain that fits its data. Without a twist the second is pi(x_t) / p(x_t): for data that are more concentrated
than the noise it is large, later steps cancel it, and until then resampling goes by it. So it discards what would have
weighted as much in the end, and plain trajectories do better unless the reverse chain fits badly. With the twist
psi_t = p(x_t) / pi(x_t) the second ratio is 1 and the particles stand for the last target's own marginal, as in
twisted particle filters (Whiteley and Lee 2014). p(x_t) is not known, but roughly that of the data's first moments.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Normal
from dpm_ppl._common.sums import add_exactly
from dpm_ppl._common.types import Array, Batch, Cost, Datum, Float, PRNGKey
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.paths import as_noise, log_increment
from dpm_ppl.diffusion.terms import log_null
from dpm_ppl.kernels import BernoulliKernel
from dpm_ppl.likelihood.proposals.base import AbstractProposal
from dpm_ppl.schedules.steps import Step
from dpm_ppl.smc.adaptive import Info, normalised, resample_if_few, share_of_particles
from dpm_ppl.smc.resampling import LogWeights, Resample, systematic

Twist = Callable[[Batch, Step], Cost]
"""log psi_t(x_t) for every particle, from the particles `(particle, *event)` and the step they have come to."""


class State(NamedTuple):
    """Particles after some steps; a pytree of arrays."""

    particles: Batch
    log_weights: LogWeights
    """Normalised: their exponentials sum to 1."""
    log_psi: LogWeights
    """The twist that the weights hold so far."""
    log_evidence: Float[Array, ""]
    """The logarithm of the product of mean weights; after step T, that of an unbiased estimate of p(x_0)."""
    rounding: Float[Array, ""]
    """What additions to `log_evidence` have rounded away."""


def init(diffusion: Diffusion, x_0: Datum, num_particles: int) -> State:
    """All particles at the datum."""
    start = as_noise(diffusion, jnp.broadcast_to(x_0, (num_particles, *x_0.shape)))
    at_datum = log_null(diffusion, x_0)
    none = jnp.zeros(num_particles, at_datum.dtype)
    return State(start, none - jnp.log(num_particles), none, at_datum, jnp.zeros_like(at_datum))


def step(
    diffusion: Diffusion,
    state: State,
    step_t: Step,
    key: PRNGKey,
    *,
    resample: Resample,
    threshold: float,
    twist: Twist | None = None,
) -> tuple[State, Info]:
    """From t - 1 to t: resample if need be, move, take the weights.

    **Arguments:**

    - `resample`: one of the functions of `dpm_ppl.smc.resampling`.
    - `threshold`: the share of the particles at or below which the effective sample size calls for resampling: 0 never
      does, 1 does at every step.
    - `twist`: log psi_t. It is left out at step T, and may be anything at t = 0, where all particles are one.
    """
    resample_key, move_key = jax.random.split(key)
    log_weights, info = resample_if_few(resample_key, state.log_weights, resample, threshold)
    x_prev, log_psi_prev = state.particles[info.ancestors], state.log_psi[info.ancestors]

    x_t = diffusion.transition(x_prev, step_t).sample(move_key)
    log_psi = jnp.zeros_like(log_psi_prev)
    if twist is not None:
        log_psi = jnp.where(step_t.t == diffusion.num_steps, log_psi, twist(x_t, step_t))
    log_weights += log_increment(diffusion, x_prev, x_t, step_t) + log_psi - log_psi_prev
    log_weights, log_mean = normalised(log_weights)
    log_evidence, rounding = add_exactly(state.log_evidence, state.rounding, log_mean)
    return State(x_t, log_weights, log_psi, log_evidence, rounding), info


def _several(num_particles: Any) -> int:
    expected = "at least 2 particles, as one alone has nobody to be resampled from"
    remedy = "use 64, or Trajectories()"
    return whole_number("num_particles", num_particles, least=2, expected=expected, remedy=remedy)


class SequentialMonteCarlo(AbstractProposal):
    """`num_particles` that are resampled along the way; the arguments are those of `step`.

    The steps are taken one after the other, the particles of a step side by side, so `steps_chunk` has no meaning here.

    It pays where plain weights vary by about half a nat or more after averaging because the reverse chain fits badly;
    under one that fits, plain trajectories are as good at least (`benchmarks/likelihood_proposals.py`).
    """

    num_particles: int = eqx.field(static=True, converter=_several)
    resample: Resample = eqx.field(static=True, default=systematic)
    threshold: float = eqx.field(static=True, default=0.5, converter=share_of_particles)
    twist: Twist | None = None
    kind: ClassVar[str] = "smc"

    @property
    def independent_particles(self) -> bool:
        return False  # resampling ties them together

    def check(self, diffusion: Diffusion) -> None:
        diffusion.check_steps_move()
        self._check_resample()
        if self.twist is None:
            return
        x_t = eqx.filter_eval_shape(lambda: diffusion.stationary().sample(jax.random.key(0), (self.num_particles,)))
        expected = f"shape {(self.num_particles,)}"
        try:
            got = f"shape {eqx.filter_eval_shape(self.twist, x_t, diffusion.steps[0]).shape}"
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            got = f"{type(error).__name__}: {error}"
        if got != expected:
            raise InputError(
                "twist",
                expected=f"one number per particle, {expected}, for x_t of shape {x_t.shape}",
                got=got,
                remedy=f"give its parameters the event shape, {diffusion.event_shape}",
            )

    def _check_resample(self) -> None:
        equal = jnp.zeros(self.num_particles)
        try:
            fits = eqx.filter_eval_shape(self.resample, jax.random.key(0), equal).shape == equal.shape
        except (TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise InputError(
                "resample",
                expected="a function of a key and log-weights that returns ancestors, (particle,)",
                got=getattr(self.resample, "__name__", repr(self.resample)),
                remedy="use one of dpm_ppl.smc.resampling, such as systematic",
            )

    def log_weight(self, diffusion: Diffusion, x_0: Datum, key: PRNGKey, *, steps_chunk: int | None) -> Cost:
        def forward(state: State, step_t: Step) -> tuple[State, None]:
            step_key = jax.random.fold_in(key, step_t.t)
            options = {"resample": self.resample, "threshold": self.threshold, "twist": self.twist}
            return step(diffusion, state, step_t, step_key, **options)[0], None

        last, _ = jax.lax.scan(forward, init(diffusion, x_0, self.num_particles), diffusion.steps)
        return last.log_evidence + last.rounding


class GaussianTwist(eqx.Module):
    """psi_t = N(x_t; sqrt(alpha_bar_t) mean, alpha_bar_t variance + noise_t) / N(x_t; 0, 1).

    For a Gaussian kernel and data of about this `mean` and `variance` in each coordinate, both of the event shape.
    """

    mean: Array = eqx.field(converter=jnp.asarray)
    variance: Array = eqx.field(converter=jnp.asarray)

    def __call__(self, x_t: Batch, step: Step) -> Cost:
        spread = jnp.sqrt(step.alpha_bar * self.variance + step.noise)
        law = Normal(jnp.exp(0.5 * step.log_alpha_bar) * self.mean, spread)
        return _over_event(law.log_prob(x_t) - Normal().log_prob(x_t), self.mean)


class BernoulliTwist(eqx.Module):
    """psi_t = prod_i P(x_t,i) / pi(x_t,i), with P(x_t,i = 1) = alpha_bar_t rate_i + noise_t pi.

    For a Bernoulli kernel and data whose bits are 1 at about this `rate`, of the event shape.
    """

    rate: Array = eqx.field(converter=jnp.asarray)
    kernel: BernoulliKernel

    def __call__(self, x_t: Batch, step: Step) -> Cost:
        def log_ratio(rate: Array, stationary: float) -> Array:
            return jnp.log(step.alpha_bar * rate / stationary + step.noise)

        pi = self.kernel.pi
        return _over_event(jnp.where(x_t > 0, log_ratio(self.rate, pi), log_ratio(1 - self.rate, 1 - pi)), self.rate)


def _over_event(terms: Array, parameter: Array) -> Cost:
    return terms.sum(axis=tuple(range(terms.ndim - jnp.ndim(parameter), terms.ndim)))
