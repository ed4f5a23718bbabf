"""The terms of the bound K for a batch of data, in closed form wherever there is one.

    K(x_0) = edge - sum_{t=2..T} E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) - KL(q(x_T | x_0) || pi)

with edge = E_{q(x_1 | x_0)} log p(x_0 | x_1): the paper's equation 12 in its always-valid form. Objectives draw some
steps of it, bounds all of them. Data are `(datum, *event)`; costs are nats.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dpm_ppl._common.numpyro_seam import Distribution, kl_divergence
from dpm_ppl._common.sums import accurate_sum, map_chunks
from dpm_ppl._common.types import Array, Batch, Cost, Int, PRNGKey, Uniforms
from dpm_ppl.diffusion.lattice import uniforms
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.schedules.steps import Step


def step_divergence(guide: StepLaws, model: StepLaws, x_0: Batch, step: Step, uniform: Uniforms) -> Cost:
    """One draw of KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) with x_t ~ q(x_t | x_0), per element of the batch.

    `step` is one for the whole batch or one per element; `uniform`, of the shape of `x_0`, says which x_t is drawn.
    `guide` and `model` are the same diffusion, but for gradients that treat the two chains apart.
    """
    x_t, bridge = guide.draw_bridge(x_0, step, uniform)
    return kl_divergence(bridge, model.reverse(x_t, step))


def step_divergences(
    guide: StepLaws,
    model: StepLaws,
    x_0: Batch,
    points: Callable[[Int[Array, ""]], Uniforms],
    *,
    chunk_size: int | None = None,
) -> Cost:
    """`step_divergence` at t = 2..T, shape `(T - 1, *batch)`, `chunk_size` steps side by side.

    `points` gives the uniform numbers of step t. Those of a `Lattice` are shared out between the steps, of which one
    has nearly the divergence of the next: their sum has far less noise than with numbers drawn for each step anew.
    """

    def at_step(step: Step) -> Cost:
        return step_divergence(guide, model, x_0, step, points(step.t))

    return map_chunks(at_step, guide.steps[1:], chunk_size)


def end_divergence(guide: StepLaws, x_0: Batch) -> Cost:
    """KL(q(x_T | x_0) || pi): what the forward chain leaves of the signal."""
    return _divergence_of_marginal(guide, x_0, guide.steps[-1], guide.stationary())


def divergence_from_null(diffusion: StepLaws, x_0: Batch, step: Step) -> Cost:
    """KL of q(x_t | x_0) from what a model that has learned nothing has as its law of x_t, which is mostly pi."""
    return _divergence_of_marginal(diffusion, x_0, step, diffusion.null(step))


def _divergence_of_marginal(diffusion: StepLaws, x_0: Batch, step: Step, law: Distribution) -> Cost:
    return kl_divergence(diffusion.marginal(x_0, step), law.expand(_batch_shape(diffusion, x_0)))


def fixed_edge(diffusion: StepLaws, x_0: Batch) -> Cost:
    """E_{q(x_1 | x_0)} log T_pi(x_0 | x_1; beta_1), by reversibility log pi(x_0) + KL(q(x_1 | x_0) || pi)."""
    return log_null(diffusion, x_0) + divergence_from_null(diffusion, x_0, diffusion.steps[0])


def learned_edge(diffusion: StepLaws, x_0: Batch, uniform: Uniforms) -> Cost:
    """An estimate of E log p(x_0 | x_1) from one draw x_1 ~ q(x_1 | x_0), the one at `uniform`."""
    x_1, _ = diffusion.draw_bridge(x_0, diffusion.steps[0], uniform)
    return diffusion.edge_law(x_1).log_prob(x_0) - first_surprise(diffusion, x_0, x_1)


def drawn_edge(diffusion: StepLaws, x_0: Batch, key: PRNGKey) -> Cost:
    """E log p(x_0 | x_1): as it is where the last step is fixed, else estimated from one draw of x_1."""
    if diffusion.edge == "fixed":
        return fixed_edge(diffusion, x_0)
    return learned_edge(diffusion, x_0, uniforms(key, x_0.shape))


def first_surprise(diffusion: StepLaws, x_0: Batch, x_1: Batch) -> Cost:
    """log q(x_1 | x_0) less its mean: a control variate with most of the noise that log p(x_0 | x_1) has.

    Its expectation is zero and so is the gradient of that, hence it carries none. Left out for bits that a learned last
    step recovers: log p(x_0 | x_1) hardly varies there.
    """
    if diffusion.edge == "learned" and not diffusion.kernel.reparametrised:
        return jnp.zeros(_batch_shape(diffusion, x_0))
    law = diffusion.marginal(x_0, diffusion.steps[0])
    return jax.lax.stop_gradient(law.log_prob(x_1) + law.entropy())


def forward_entropy(guide: StepLaws, x_0: Batch, key: PRNGKey, *, chunk_size: int | None = None) -> Cost:
    """-E log q(x_1 ... x_T | x_0): the sum of the entropies of q(x_t | x_{t-1}), for one draw of x_{t-1} each."""

    def at_step(pair: tuple[Step, Step]) -> Cost:
        before, step = pair
        x_prev = guide.marginal(x_0, before).sample(jax.random.fold_in(key, step.t))
        return guide.transition(x_prev, step).entropy()

    later = map_chunks(at_step, (guide.steps[:-1], guide.steps[1:]), chunk_size)
    return guide.transition(x_0, guide.steps[0]).entropy() + accurate_sum(later)


def log_null(diffusion: StepLaws, x_0: Batch) -> Cost:
    """L_null, the value of a model that has learned nothing: log pi(x_0) where the kernel is reversible."""
    return jnp.broadcast_to(diffusion.null().log_prob(x_0), _batch_shape(diffusion, x_0))


def _batch_shape(diffusion: StepLaws, x: Batch) -> tuple[int, ...]:
    return jnp.shape(x)[: jnp.ndim(x) - diffusion.event_dim]
