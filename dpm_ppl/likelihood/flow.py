"""`flow_log_likelihood`: the likelihood of the probability-flow ODE of a Gaussian diffusion (Song et al. 2021).

The model is x_T ~ N(0, I), carried by the ODE to x_1, then the chain's own last step p(x_0 | x_1). **It is another
model than the chain**, though made of the same network: its likelihood may lie above the chain's or below it, and
neither bounds the other. Only the means of the reverse steps enter; the variances they have learned do not.

Time is the angle with tan^2 = noise_t / alpha_bar_t, in which x_t = cos x_0 + sin noise and the flow is
dx / d angle = velocity = E[cos noise - sin x_0 | x_t], of order one at both ends of the chain (Salimans and Ho 2022).
It is solved by diffrax, an optional extra that is imported on first use.
"""

import math
from types import ModuleType
from typing import Any, Literal, cast, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, Independent

from dpm_ppl._common.checks import check_installed, check_key, check_kind, check_sizes, number_in, one_of
from dpm_ppl._common.memory import size_within_budget
from dpm_ppl._common.types import Array, Batch, Datum, Float, Int, PerDatum, PRNGKey
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import GaussianKernel
from dpm_ppl.kernels._normal_step import NormalStep
from dpm_ppl.methods.base import check_scored
from dpm_ppl.schedules.steps import Step

Trace = Literal["exact", "hutchinson"]


class FlowLikelihood(eqx.Module):
    """log p(x_0) of the flow for every datum, in nats, as importance weights over draws of x_1."""

    log_weights: Float[Array, "datum draw"]
    """log p(x_1) + log p(x_0 | x_1) - log q(x_1 | x_0)."""
    num_solver_steps: Int[Array, "datum draw"]
    """Steps of the ODE solver, rejected ones included."""

    @property
    def num_draws(self) -> int:
        """Draws of x_1 per datum."""
        return self.log_weights.shape[1]

    @property
    def log_likelihood(self) -> PerDatum:
        """The logarithm of the mean weight: below log p(x_0) on average, by about se^2 / 2."""
        return jax.nn.logsumexp(self.log_weights, axis=1) - math.log(self.num_draws)

    @property
    def se(self) -> PerDatum:
        """Standard error of `log_likelihood` by the delta method; NaN for a single draw."""
        if self.num_draws == 1:
            return jnp.full(len(self.log_weights), jnp.nan)
        relative = jnp.exp(self.log_weights - self.log_likelihood[:, None])
        return relative.std(axis=1, ddof=1) / math.sqrt(self.num_draws)


def flow_log_likelihood(
    diffusion: Diffusion,
    x_0: Batch | np.ndarray,
    key: PRNGKey,
    *,
    num_draws: int = 16,
    trace: Trace = "exact",
    num_probes: int = 1,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    data_chunk: int | None = None,
) -> FlowLikelihood:
    """log p(x_0) of the flow and the chain's last step, p(x_0) = E_{q(x_1 | x_0)} p(x_1) p(x_0 | x_1) / q(x_1 | x_0).

    It is the likelihood of another model than the chain's, may lie above it or below, and neither bounds the other.

    **Arguments:**

    - `x_0`: standardised data, `(datum, *event_shape)`.
    - `num_draws`: draws of x_1 per datum, each of which is one solution of the ODE.
    - `trace`: how the divergence of the velocity is taken. `"exact"`: one directional derivative per coordinate, at
      every evaluation. `"hutchinson"`: `num_probes` of them along random signs that stay fixed for one solution
      (Grathwohl et al. 2019). The latter leaves log p(x_1) unbiased, but not its exponential, which is what the draws
      average: noise of variance v in log p(x_1) raises p(x_0) by a factor of about exp(v / 2). More probes lower it.
    - `rtol`, `atol`: tolerances of the solver.
    - `data_chunk`: how many data are solved side by side; by default at most 100 that fit the memory budget.

    **Raises:** `InputError` where diffrax is missing, the kernel is not Gaussian, or the arguments do not fit.
    """
    one_of("trace", trace, get_args(Trace), "'exact' for few numbers")
    sizes = {"num_draws": num_draws, "num_probes": num_probes, "data_chunk": data_chunk}
    num_draws, num_probes, data_chunk = _check(diffusion, rtol, atol, **sizes)
    key, x_0 = check_key(key), check_scored(diffusion, x_0)
    probes = num_probes if trace == "hutchinson" else None
    given = diffusion, jnp.asarray(x_0, float), key, num_draws, probes, rtol, atol
    size = size_within_budget(_log_weights, *given, given=data_chunk, most=_MOST_DATA)
    return FlowLikelihood(*_log_weights(*given, size))


def flow_log_density(
    diffusion: Diffusion,
    x_1: Batch | np.ndarray,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    data_chunk: int | None = None,
) -> PerDatum:
    """The flow's log p(x_1), the density of level 1 without the chain's last step, by the exact trace.

    `x_1` is `(datum, *event_shape)`; the other arguments and errors are those of `flow_log_likelihood`.
    """
    (data_chunk,) = _check(diffusion, rtol, atol, data_chunk=data_chunk)
    x_1 = check_scored(diffusion, x_1, "x_1")
    given = diffusion, jnp.asarray(x_1, float), rtol, atol
    return _log_densities(*given, size_within_budget(_log_densities, *given, given=data_chunk, most=_MOST_DATA))


def flow_sample(
    diffusion: Diffusion, key: PRNGKey, num_samples: int, *, rtol: float = 1e-5, atol: float = 1e-5
) -> Batch:
    """Draws of x_0, shape `(num_samples, *event_shape)`: the flow down to x_1, then the chain's own last step.

    **Raises:** `InputError` as `flow_log_likelihood` does.
    """
    (num_samples,) = _check(diffusion, rtol, atol, num_samples=num_samples)
    return _sample(diffusion, check_key(key), num_samples, rtol, atol)


class ProbabilityFlow(eqx.Module):
    """The ODE of a diffusion for one datum: the velocity at the steps whose network is trained, and between them.

    `first` is the angle of level 1, where the flow ends, `angles` are those of `steps`.
    """

    diffusion: Diffusion
    steps: Step
    angles: Float[Array, " steps"]
    first: Float[Array, ""]

    def __init__(self, diffusion: Diffusion):
        steps = diffusion.steps
        angles = jnp.arctan2(jnp.exp(0.5 * steps.log_noise), jnp.exp(0.5 * steps.log_alpha_bar))
        # Under the fixed edge nothing ever trains the network at step 1.
        trained = slice(1, None) if diffusion.edge == "fixed" else slice(None)
        self.diffusion, self.first = diffusion, angles[0]
        self.steps, self.angles = steps[trained], angles[trained]

    def velocity(self, angle: Float[Array, ""], x: Datum) -> Datum:
        """Linear in the angle between two steps; below the first of them it falls to 0 at angle 0.

        Networks take whole steps only, and some look them up in a table. The velocity is - tan(angle) (x + score), so
        the fall to 0 says that the score changes no more where there is hardly any noise left.
        """
        padded = jnp.concatenate([jnp.zeros(1), self.angles])
        position = jnp.interp(angle, padded, jnp.arange(len(padded), dtype=padded.dtype))
        below = jnp.floor(position)
        share = position - below
        weights = jnp.stack([jnp.where(below > 0, 1 - share, 0.0), share])
        index = jnp.stack([below - 1, below]).astype(int)
        neighbours = self.steps[jnp.clip(index, 0, len(self.steps) - 1)]
        return jnp.tensordot(weights, self.velocities(jnp.stack([x, x]), neighbours), 1)

    def velocities(self, x_t: Batch, steps: Step) -> Batch:
        """One velocity for each x_t and its step, from the mean mu of the reverse step.

        By Tweedie's formula the score is (sqrt(alpha_t) mu - x_t) / beta_t. Hence the velocity is how far the forward
        kernel's mean lies from mu, where a network that has learned nothing leaves it, in deviations sqrt(beta_t) and
        over the root of the share of noise that is new.
        """
        forward, reverse = self.diffusion.transition(x_t, steps), self.diffusion.reverse(x_t, steps)
        factor = jnp.exp(-0.5 * steps.log_noise_gain)
        return (_displacement(forward) - _displacement(reverse)) * jnp.expand_dims(factor, tuple(range(1, x_t.ndim)))

    def solve(
        self, x: Datum, probes: Float[Array, "probes *event"], up: bool, rtol: float, atol: float
    ) -> tuple[Datum, Float[Array, ""], Int[Array, ""]]:
        """From level 1 up to T or back: the end point, the integral of the divergence, and the solver's steps.

        The divergence is the sum over `probes` p of p^T J p.
        """
        diffrax = _diffrax()

        def derivative(angle, state, flow: ProbabilityFlow):
            velocity, along = jax.linearize(lambda x: flow.velocity(angle, x), state[0])
            return velocity, jnp.vdot(probes, jax.vmap(along)(probes))

        ends = (self.first, self.angles[-1])
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(derivative),
            diffrax.Tsit5(),
            *(ends if up else ends[::-1]),
            dt0=None,
            y0=(x, jnp.zeros((), x.dtype)),
            args=self,
            stepsize_controller=diffrax.PIDController(rtol, atol),
            max_steps=_MAX_SOLVER_STEPS,
        )
        end, integral = jax.tree.map(lambda leaf: leaf[0], solution.ys)
        return end, integral, solution.stats["num_steps"]

    def log_density(
        self, x_1: Datum, probes: Float[Array, "probes *event"], rtol: float, atol: float
    ) -> tuple[Float[Array, ""], Int[Array, ""]]:
        """log p(x_1) by the change of variables (Song et al. 2021, eq. 39), and the solver's steps."""
        x_T, integral, num_steps = self.solve(x_1, probes, True, rtol, atol)
        return self.diffusion.stationary().log_prob(x_T) + integral, num_steps


_MAX_SOLVER_STEPS = 2**14
_MOST_DATA = 100


def _displacement(law: Distribution) -> Array:
    return cast(NormalStep, law.base_dist if isinstance(law, Independent) else law).displacement


def _basis(diffusion: Diffusion) -> Float[Array, "probes *event"]:
    """Probes that make the divergence exact."""
    return jnp.eye(diffusion.num_coordinates).reshape(-1, *diffusion.event_shape)


def _signs(diffusion: Diffusion, key: PRNGKey, num_probes: int) -> Float[Array, "probes *event"]:
    """Random probes p with E sum p p^T = I."""
    return jax.random.rademacher(key, (num_probes, *diffusion.event_shape), float) / math.sqrt(num_probes)


@eqx.filter_jit
def _log_weights(
    diffusion: Diffusion,
    x_0: Array,
    key: PRNGKey,
    num_draws: int,
    num_probes: int | None,
    rtol: float,
    atol: float,
    data_chunk: int,
) -> tuple[Array, Array]:
    flow, first_step = ProbabilityFlow(diffusion), diffusion.steps[0]

    def of_draw(x_1: Array, key: PRNGKey) -> tuple[Array, Array]:
        probes = _basis(diffusion) if num_probes is None else _signs(diffusion, key, num_probes)
        return flow.log_density(x_1, probes, rtol, atol)

    def of_datum(inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        datum, datum_key = inputs
        draw_key, probe_key = jax.random.split(datum_key)
        proposal = diffusion.marginal(datum, first_step)
        x_1 = proposal.sample(draw_key, (num_draws,))
        log_density, num_steps = jax.vmap(of_draw)(x_1, jax.random.split(probe_key, num_draws))
        return log_density + diffusion.edge_law(x_1).log_prob(datum) - proposal.log_prob(x_1), num_steps

    keys = jax.random.split(key, len(x_0))
    return jax.lax.map(of_datum, (x_0, keys), batch_size=min(data_chunk, len(x_0)))


@eqx.filter_jit
def _log_densities(diffusion: Diffusion, x_1: Array, rtol: float, atol: float, data_chunk: int) -> PerDatum:
    flow, probes = ProbabilityFlow(diffusion), _basis(diffusion)
    chunk = min(data_chunk, len(x_1))
    return jax.lax.map(lambda x: flow.log_density(x, probes, rtol, atol)[0], x_1, batch_size=chunk)


@eqx.filter_jit
def _sample(diffusion: Diffusion, key: PRNGKey, num_samples: int, rtol: float, atol: float) -> Batch:
    top_key, edge_key = jax.random.split(key)
    flow, no_probes = ProbabilityFlow(diffusion), jnp.zeros((0, *diffusion.event_shape))
    x_T = diffusion.stationary().sample(top_key, (num_samples,))
    x_1 = jax.vmap(lambda x: flow.solve(x, no_probes, False, rtol, atol)[0])(x_T)
    return diffusion.edge_law(x_1).sample(edge_key)


def _diffrax() -> ModuleType:
    check_installed("diffrax", expected="the package that solves the flow", extra="ode")
    import diffrax

    return diffrax


def _check(diffusion: Diffusion, rtol: float, atol: float, **sizes: int | None) -> list[Any]:
    _diffrax()
    expected, remedy = "a Gaussian kernel, as only real data flow", "score it by importance weights"
    check_kind("diffusion", diffusion.kernel, GaussianKernel, expected=expected, remedy=remedy)
    diffusion.check_steps_move()
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        number_in(name, tolerance, 0, 1, expected="a tolerance in (0, 1)", remedy="use the default")
    return check_sizes(**sizes)
