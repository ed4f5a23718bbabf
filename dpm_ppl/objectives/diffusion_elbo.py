"""The paper's bound K as an SVI objective for any NumPyro program that holds the two chains, step by step."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from dpm_ppl._common.checks import one_of, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.sums import accurate_sum
from dpm_ppl._common.types import Batch, Cost, PRNGKey
from dpm_ppl.diffusion.lattice import Lattice, uniforms
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import end_divergence, step_divergence, step_divergences
from dpm_ppl.networks.batches import size_of_batch
from dpm_ppl.objectives.chain_elbo import AbstractChainELBO
from dpm_ppl.objectives.step_sampling import (
    StepLosses,
    step_probabilities,
    stratified_steps,
    update_step_losses,
)

StepSampling = Literal["stratified", "importance"]


class DiffusionELBO(AbstractChainELBO):
    """The bound K (paper, eq. 14, in the form that is always a bound) as an objective for `numpyro.infer.SVI`.

    **Arguments:**

    - `num_sampled_steps`: steps drawn per datum, stratified over the batch; None costs all T of them.
    - `num_particles`, `vectorize_particles`: as in `Trace_ELBO`.
    - `steps_chunk`: with all steps, how many are evaluated side by side; by default what the memory budget allows when
      JAX traces the program.
    - `step_sampling`: `"importance"` draws steps in proportion to a running estimate of their loss, which the guide
      must carry: pass it through `track_step_losses`.

    The path is never drawn: of its values a program may read x_1 only, all others are NaN. A path that the user's own
    handlers fix (`substitute`, `replay`, `condition`) is costed like any other site.

    **Raises:** `InputError` for arguments out of range, a chain that stands in the guide but not in the model, and the
    chains exchanged.
    """

    def __init__(
        self,
        num_sampled_steps: int | None = None,
        *,
        num_particles: int = 1,
        vectorize_particles: bool | Callable = True,
        steps_chunk: int | None = None,
        step_sampling: StepSampling = "stratified",
    ):
        def steps(name: str, value: int | None) -> int | None:
            expected, remedy = "a positive integer or None", "None means all steps"
            return None if value is None else whole_number(name, value, expected=expected, remedy=remedy)

        num_sampled_steps, steps_chunk = (
            steps("num_sampled_steps", num_sampled_steps),
            steps("steps_chunk", steps_chunk),
        )
        num_particles = whole_number("num_particles", num_particles)
        one_of("step_sampling", step_sampling, get_args(StepSampling), "'stratified' spreads the sampled steps evenly")
        if step_sampling == "importance" and (num_sampled_steps is None or num_particles > 1):
            raise InputError(
                "step_sampling",
                expected="'importance' with num_sampled_steps and one particle",
                got=f"num_sampled_steps={num_sampled_steps}, num_particles={num_particles}",
                remedy="raise num_sampled_steps rather than num_particles",
            )
        self.num_sampled_steps = num_sampled_steps
        self.steps_chunk = steps_chunk
        self.step_sampling: StepSampling = step_sampling
        self.needs_step_losses = step_sampling == "importance"
        AbstractChainELBO.__init__(self, num_particles, vectorize_particles)

    def chain_cost(self, guide: StepLaws, model: StepLaws, x_0: Batch, key: PRNGKey, losses: StepLosses | None) -> Cost:
        """-sum_{t>=2} KL_t - KL(q(x_T | x_0) || pi), estimated per element of the batch; updates `losses` in place."""
        if self.num_sampled_steps is None:
            points = Lattice(key, x_0.shape, guide.event_dim)
            chunk = self.steps_chunk or _steps_within_budget(model, x_0)
            divergence = accurate_sum(step_divergences(guide, model, x_0, points, chunk_size=chunk))
        else:
            divergence = self._sampled_divergence(self.num_sampled_steps, guide, model, x_0, key, losses)
        return -divergence - end_divergence(guide, x_0)

    def _sampled_divergence(
        self, num: int, guide: StepLaws, model: StepLaws, x_0: Batch, key: PRNGKey, losses: StepLosses | None
    ) -> Cost:
        batch_shape = x_0.shape[: x_0.ndim - guide.event_dim]
        flat = x_0.reshape(-1, *guide.event_shape)
        step_key, draw_key = jax.random.split(key)
        probabilities = step_probabilities(losses) if losses is not None else None
        index, factor = stratified_steps(step_key, len(flat), num, guide.num_steps - 1, probabilities)
        # Data and draws along one axis: XLA makes a program with an axis for each about 6% slower.
        repeated = jnp.repeat(flat, index.shape[1], axis=0)
        uniform = uniforms(draw_key, repeated.shape)
        divergence = step_divergence(guide, model, repeated, guide.steps[index.ravel() + 1], uniform)
        if losses is not None:
            losses.update(update_step_losses(losses, index.ravel(), divergence))
        return (divergence.reshape(index.shape) * factor).mean(axis=1).reshape(batch_shape)


def _steps_within_budget(model: StepLaws, x_0: Batch) -> int:
    """How many steps of the whole batch may be evaluated side by side, with what the gradient needs of them."""
    steps, num_data = model.steps[1:], math.prod(x_0.shape[: x_0.ndim - model.event_dim])
    size = size_of_batch(model.network, x_0.reshape(-1, *model.event_shape), steps, len(steps) * num_data)
    return max(size // num_data, 1)
