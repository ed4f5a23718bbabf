"""The two chains as NumPyro distributions over the path x_1 ... x_T, and as NumPyro programs.

The path is one site, `path`, always stored in the order x_1 ... x_T, with event shape `(T, *event_shape)`: NumPyro
matches the values of model and guide by position, and the two chains run in opposite directions.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from numpyro.distributions import constraints

from dpm_ppl._common.checks import as_jax_holds, check_shape
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Distribution, eqx_module, subsample
from dpm_ppl._common.numpyro_seam import sample as sample_site
from dpm_ppl._common.sums import accurate_sum, map_chunks
from dpm_ppl._common.types import Array, Batch, Cost, PRNGKey
from dpm_ppl.diffusion.sampling import dtype_of_draws, sample_path
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.schedules.steps import Step


class _Chain(Distribution):
    """A law of the path x_1 ... x_T; `steps_chunk` of its T terms are evaluated side by side in `log_prob`."""

    arg_constraints = {}

    def __init__(self, diffusion: StepLaws, batch_shape: tuple[int, ...], steps_chunk: int | None):
        self.diffusion = diffusion
        self.steps_chunk = steps_chunk
        event_shape = (diffusion.num_steps, *diffusion.event_shape)
        Distribution.__init__(self, batch_shape, event_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:
        return self.diffusion.kernel.reparametrised

    @constraints.dependent_property
    def support(self):
        support: Any = self.diffusion.kernel.stationary(()).support
        return constraints.independent(support, self.event_dim)

    def rsample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.sample(key, sample_shape)

    def _steps_first(self, path: Array) -> Array:
        return jnp.moveaxis(path, path.ndim - self.event_dim, 0)

    def _steps_in_place(self, path: Array) -> Array:
        return jnp.moveaxis(path, 0, path.ndim - self.event_dim)


class ReverseChain(_Chain):
    """p(x_1 ... x_T) = pi(x_T) prod_{t=2..T} p(x_{t-1} | x_t), the generative chain but its last step (paper, eq. 4-5).

    Batch shape `()`, event shape `(T, *event_shape)`. Given a path all terms of `log_prob` are evaluated side by side,
    `steps_chunk` at a time; only sampling is sequential.
    """

    pytree_data_fields = ("diffusion",)
    pytree_aux_fields = ("steps_chunk",)

    def __init__(self, diffusion: StepLaws, *, steps_chunk: int | None = None):
        _Chain.__init__(self, diffusion, (), steps_chunk)

    def sample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        return self._steps_in_place(sample_path(self.diffusion, key, sample_shape))

    def log_prob(self, value: Batch, intermediates=None) -> Cost:
        path = self._steps_first(jnp.asarray(value))

        def at_step(terms: tuple[Array, Array, Step]) -> Cost:
            x_t, x_prev, step = terms
            return self.diffusion.reverse(x_t, step).log_prob(x_prev)

        log_probs = map_chunks(at_step, (path[1:], path[:-1], self.diffusion.steps[1:]), self.steps_chunk)
        return self.diffusion.stationary().log_prob(path[-1]) + accurate_sum(log_probs)


class ForwardChain(_Chain):
    """q(x_1 ... x_T | x_0) = prod_{t=1..T} q(x_t | x_{t-1}), the diffusion of data into noise (paper, eq. 3).

    Batch shape that of `x_0` before its event axes, event shape `(T, *event_shape)`.
    """

    pytree_data_fields = ("diffusion", "x_0")
    pytree_aux_fields = ("steps_chunk",)

    def __init__(self, diffusion: StepLaws, x_0: Batch, *, steps_chunk: int | None = None):
        x_0 = jnp.asarray(as_jax_holds(x_0))
        batch_dim = x_0.ndim - diffusion.event_dim
        expected = f"event shape {diffusion.event_shape} behind any batch axes"
        remedy = "reshape the data, or build the diffusion for their shape"
        shape = *x_0.shape[: max(batch_dim, 0)], *diffusion.event_shape
        check_shape("x_0", x_0, shape, expected=expected, remedy=remedy)
        self.x_0 = x_0
        _Chain.__init__(self, diffusion, x_0.shape[:batch_dim], steps_chunk)

    def sample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = (*sample_shape, *self.batch_shape, *self.diffusion.event_shape)
        x_0 = jnp.broadcast_to(self.x_0, shape).astype(dtype_of_draws(self.diffusion))

        def forward(x_prev: Array, step: Step) -> tuple[Array, Array]:
            x_t = self.diffusion.transition(x_prev, step).sample(jax.random.fold_in(key, step.t))
            return x_t, x_t

        return self._steps_in_place(jax.lax.scan(forward, x_0, self.diffusion.steps)[1])

    def log_prob(self, value: Batch, intermediates=None) -> Cost:
        path = self._steps_first(jnp.asarray(value))
        x_0 = jnp.broadcast_to(self.x_0, path.shape[1:]).astype(path.dtype)
        before = jnp.concatenate([x_0[None], path[:-1]])

        def at_step(terms: tuple[Array, Array, Step]) -> Cost:
            x_prev, x_t, step = terms
            return self.diffusion.transition(x_prev, step).log_prob(x_t)

        return accurate_sum(map_chunks(at_step, (before, path, self.diffusion.steps), self.steps_chunk))


def reverse_chain(
    diffusion: StepLaws,
    x_0: Batch | None = None,
    *,
    num_points: int | None = None,
    subsample_size: int | None = None,
    steps_chunk: int | None = None,
) -> Array:
    """The generative model as a NumPyro program: sites `path` and `x_0` in a plate `data`.

    **Arguments:** `x_0`, shape `(datum, *event_shape)`, or None to generate; `num_points`, the size of the plate where
    it is not that of `x_0`; `subsample_size`, of the data that are drawn from the plate in training; all `num_points`
    are generated. Parameters stand at `diffusion$params`.
    """
    diffusion = eqx_module("diffusion", diffusion)
    with _data_plate(x_0, num_points, subsample_size):
        path = sample_site("path", ReverseChain(diffusion, steps_chunk=steps_chunk))
        observed = None if x_0 is None else subsample(x_0, event_dim=diffusion.event_dim)
        return sample_site("x_0", diffusion.edge_law(first_of_path(diffusion, path)), obs=observed)


def forward_chain(
    diffusion: StepLaws,
    x_0: Batch,
    *,
    num_points: int | None = None,
    subsample_size: int | None = None,
    steps_chunk: int | None = None,
) -> Array:
    """The guide as a NumPyro program: site `path` in a plate `data`; arguments as for `reverse_chain`."""
    diffusion = eqx_module("diffusion", diffusion)
    with _data_plate(x_0, num_points, subsample_size):
        x_0 = subsample(x_0, event_dim=diffusion.event_dim)
        return sample_site("path", ForwardChain(diffusion, x_0, steps_chunk=steps_chunk))


def first_of_path(diffusion: StepLaws, path: Batch) -> Batch:
    """x_1 of a path x_1 ... x_T."""
    return jax.lax.index_in_dim(path, 0, axis=path.ndim - diffusion.event_dim - 1, keepdims=False)


def _data_plate(x_0: Batch | None, num_points: int | None, subsample_size: int | None) -> numpyro.plate:
    if num_points is None:
        if x_0 is None:
            raise InputError(
                "num_points", expected="the number of data to generate", got="None", remedy="give x_0 or num_points"
            )
        num_points = len(x_0)
    if x_0 is None:
        subsample_size = None
    return numpyro.plate("data", num_points, subsample_size=subsample_size)
