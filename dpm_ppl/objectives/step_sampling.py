"""Which steps an objective looks at that samples them: spread evenly, or more often where the loss is large."""

import jax
import jax.numpy as jnp

from dpm_ppl._common.sums import place_at
from dpm_ppl._common.types import Array, Float, Int, PerStep, PRNGKey

UNIFORM_SHARE = 0.2
"""Share of the draws that stays uniform under importance sampling: no weight exceeds 1/0.2 of the uniform one."""
MIN_VISITS = 10
"""Visits that every step must have had before the running estimates are trusted."""
DECAY = 0.9
"""What a running estimate keeps of itself at a visit."""

StepLosses = dict[str, Array]


def initial_step_losses(num_terms: int) -> StepLosses:
    """Running estimate of each step's squared loss, for the `num_terms` steps t = 2..T, none visited yet."""
    return {"mean_square": jnp.ones(num_terms), "visits": jnp.zeros(num_terms, jnp.int32)}


def update_step_losses(losses: StepLosses, index: Int[Array, " draws"], loss: Float[Array, " draws"]) -> StepLosses:
    """The running estimates after seeing `loss` at the steps `index` (0 for t = 2)."""
    num_terms = len(losses["mean_square"])
    seen = jnp.zeros(num_terms, jnp.int32).at[index].add(1)
    total = jnp.zeros(num_terms).at[index].add(jax.lax.stop_gradient(loss) ** 2)
    fresh = total / jnp.maximum(seen, 1)
    keep = jnp.where(losses["visits"] == 0, 0.0, DECAY**seen)
    updated = jnp.where(seen > 0, keep * losses["mean_square"] + (1 - keep) * fresh, losses["mean_square"])
    return {"mean_square": updated, "visits": losses["visits"] + seen}


def step_probabilities(losses: StepLosses) -> PerStep:
    """Proposal over t = 2..T: the root mean square loss (Nichol and Dhariwal 2021), mixed with the uniform law."""
    root = jnp.sqrt(losses["mean_square"])
    uniform = jnp.full_like(root, 1 / len(root))
    mixed = UNIFORM_SHARE * uniform + (1 - UNIFORM_SHARE) * root / root.sum()
    return jnp.where(losses["visits"].min() >= MIN_VISITS, mixed, uniform)


def stratified_times(key: PRNGKey, num_data: int, num_draws: int) -> Float[Array, "datum draw"]:
    """Times from 0 to 1, each uniform and all spread evenly: those of a datum, and what they leave over the batch."""
    datum = jnp.arange(num_data)[:, None] / (num_data * num_draws)
    draw = jnp.arange(num_draws)[None, :] / num_draws
    return (jax.random.uniform(key) + datum + draw) % 1.0


def stratified_steps(
    key: PRNGKey, num_data: int, num_sampled_steps: int, num_terms: int, probabilities: PerStep | None = None
) -> tuple[Int[Array, "datum draw"], Float[Array, "datum draw"]]:
    """Indices of sampled steps (0 for t = 2) and the factors that make their mean an unbiased sum over all steps.

    One uniform offset shifts a lattice over the unit interval: each datum's draws lie 1/m apart and the batch fills the
    gaps between them, so every draw has the right law and together they are spread evenly (Kingma et al. 2021).
    """
    u = stratified_times(key, num_data, num_sampled_steps)
    if probabilities is None:
        index = jnp.minimum((u * num_terms).astype(jnp.int32), num_terms - 1)
        return index, jnp.full(index.shape, float(num_terms))
    index = place_at(probabilities, u).astype(jnp.int32)
    return index, 1 / probabilities[index]
