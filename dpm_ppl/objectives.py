"""The paper's bound K as an SVI objective for any NumPyro program that holds the two chains.

`DiffusionELBO` rewrites a program and leaves the rest to NumPyro's `Trace_ELBO`:

- in the guide, every `ForwardChain` is drawn no further than x_1 (`_FirstStep`), at a cost of zero mean;
- in the model, the `ReverseChain` at the same site is costed by per-step divergences in closed form (`_ChainCost`).

All other sites, plates, scales, masks, parameters and mutable state are seen by `Trace_ELBO` as ever.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpyro
from numpyro.distributions import Distribution, ExpandedDistribution, MaskedDistribution, constraints
from numpyro.infer import Trace_ELBO
from numpyro.infer.elbo import ELBO
from numpyro.primitives import Messenger, mutable

from dpm_ppl._errors import InputError
from dpm_ppl._sums import accurate_sum
from dpm_ppl._types import Array, Batch, Cost, PRNGKey
from dpm_ppl.chains import ForwardChain, ReverseChain, first_of_path
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.step_sampling import (
    StepLosses,
    initial_step_losses,
    step_probabilities,
    stratified_steps,
    update_step_losses,
)
from dpm_ppl.terms import end_divergence, first_surprise, step_divergence, step_divergences

StepSampling = Literal["stratified", "importance"]


class DiffusionELBO(ELBO):
    """The bound K (paper, eq. 14, in the form that is always a bound) as an objective for `numpyro.infer.SVI`.

    **Arguments:**

    - `num_sampled_steps`: steps drawn per datum, stratified over the batch; None costs all T of them.
    - `num_particles`, `vectorize_particles`: as in `Trace_ELBO`.
    - `steps_chunk`: with all steps, how many are evaluated side by side; bounds the memory.
    - `step_sampling`: `"importance"` draws steps in proportion to a running estimate of their loss, which the guide
      must carry: pass it through `track_step_losses`.

    The path is never drawn: of its values a program may read x_1 only, all others are NaN. A path that the user's own
    handlers fix (`substitute`, `replay`, `condition`) is costed like any other site.

    **Raises:** `InputError` for arguments out of range, and where a chain stands in the guide but not in the model.
    """

    can_infer_discrete = True  # the chain's steps are summed in closed form, bits included

    def __init__(
        self,
        num_sampled_steps: int | None = None,
        *,
        num_particles: int = 1,
        vectorize_particles: bool | Callable = True,
        steps_chunk: int | None = None,
        step_sampling: StepSampling = "stratified",
    ):
        for name, value in (("num_sampled_steps", num_sampled_steps), ("steps_chunk", steps_chunk)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(
                    name, expected="a positive integer or None", got=repr(value), remedy="None means all steps"
                )
        if step_sampling not in ("stratified", "importance"):
            raise InputError(
                "step_sampling",
                expected="'stratified' or 'importance'",
                got=repr(step_sampling),
                remedy="'stratified' spreads the sampled steps evenly",
            )
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
        self._rest = Trace_ELBO(num_particles=num_particles, vectorize_particles=bool(vectorize_particles))
        ELBO.__init__(self, num_particles=num_particles, vectorize_particles=vectorize_particles)
        self._rest.vectorize_particles_fn = self.vectorize_particles_fn

    def loss_with_mutable_state(self, rng_key, param_map, model, guide, *args, **kwargs):
        chains: dict[str, ForwardChain] = {}
        losses: dict[str, StepLosses] = {}

        def guide_to_first_step(*args, **kwargs):
            with _StopAtFirstStep(chains, losses):
                return guide(*args, **kwargs)

        def costed_model(*args, **kwargs):
            costs = _CostChains(self, chains, losses)
            with costs:
                result = model(*args, **kwargs)
            costs.check_all_met()
            return result

        return self._rest.loss_with_mutable_state(
            rng_key, param_map, costed_model, guide_to_first_step, *args, **kwargs
        )

    def chain_cost(
        self, guide: Diffusion, model: Diffusion, x_0: Batch, key: PRNGKey, losses: StepLosses | None
    ) -> Cost:
        """-sum_{t>=2} KL_t - KL(q(x_T | x_0) || pi), estimated per element of the batch; updates `losses` in place."""
        if self.num_sampled_steps is None:
            divergence = accurate_sum(step_divergences(guide, model, x_0, key, chunk_size=self.steps_chunk))
        else:
            divergence = self._sampled_divergence(guide, model, x_0, key, losses)
        return -divergence - end_divergence(guide, x_0)

    def _sampled_divergence(
        self, guide: Diffusion, model: Diffusion, x_0: Batch, key: PRNGKey, losses: StepLosses | None
    ) -> Cost:
        batch_shape = x_0.shape[: x_0.ndim - guide.event_dim]
        flat = x_0.reshape(-1, *guide.event_shape)
        step_key, draw_key = jax.random.split(key)
        probabilities = step_probabilities(losses) if losses is not None else None
        index, factor = stratified_steps(
            step_key, len(flat), self.num_sampled_steps, guide.num_steps - 1, probabilities
        )
        # Data and draws along one axis: XLA makes a program with an axis for each about 6% slower.
        repeated = jnp.repeat(flat, index.shape[1], axis=0)
        divergence = step_divergence(guide, model, repeated, guide.steps[index.ravel() + 1], draw_key)
        if losses is not None:
            losses.update(update_step_losses(losses, index.ravel(), divergence))
        return (divergence.reshape(index.shape) * factor).mean(axis=1).reshape(batch_shape)


def track_step_losses(guide: Callable) -> Callable:
    """A guide that carries the running step losses which `DiffusionELBO(step_sampling="importance")` asks for.

    They are NumPyro mutable state, one `<site>$step_losses` for every `ForwardChain` of the guide.
    """

    def tracked(*args, **kwargs):
        with _TrackStepLosses():
            return guide(*args, **kwargs)

    return tracked


class _TrackStepLosses(Messenger):
    def postprocess_message(self, msg: dict[str, Any]) -> None:
        chain = _base(msg, ForwardChain) or _base(msg, _FirstStep)
        if chain is not None:
            mutable(_losses_site(msg["name"]), initial_step_losses(chain.event_shape[0] - 1))


class _StopAtFirstStep(Messenger):
    """Replaces the forward chains of a guide by their first step and keeps them for the model's side."""

    def __init__(self, chains: dict[str, ForwardChain], losses: dict[str, StepLosses]):
        self.chains = chains
        self.losses = losses
        Messenger.__init__(self)

    def process_message(self, msg: dict[str, Any]) -> None:
        chain = _base(msg, ForwardChain)
        if chain is not None and msg["value"] is None:
            x_0 = jnp.broadcast_to(chain.x_0, (*msg["fn"].batch_shape, *chain.diffusion.event_shape))
            self.chains[msg["name"]] = ForwardChain(chain.diffusion, x_0)
            msg["fn"] = _with_base(msg["fn"], _FirstStep(chain.diffusion, x_0))

    def postprocess_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "mutable" and msg["name"].endswith(_LOSSES):
            self.losses[msg["name"]] = msg["value"]


class _CostChains(Messenger):
    """Replaces the reverse chains of a model by their cost against the forward chains met in the guide."""

    def __init__(self, objective: DiffusionELBO, chains: dict[str, ForwardChain], losses: dict[str, StepLosses]):
        self.objective = objective
        self.chains = chains
        self.losses = losses
        self.met: set[str] = set()
        Messenger.__init__(self)

    def process_message(self, msg: dict[str, Any]) -> None:
        forward = self.chains.get(msg["name"]) if msg["type"] == "sample" else None
        if forward is None:
            return
        reverse = _base(msg, ReverseChain)
        if reverse is None or reverse.event_shape != forward.event_shape:
            raise InputError(
                msg["name"],
                expected=f"a ReverseChain of event shape {forward.event_shape} in the model, as in the guide",
                got=f"{type(msg['fn']).__name__} of event shape {tuple(msg['fn'].event_shape)}",
                remedy="build both chains from one diffusion, or train with Trace_ELBO",
            )
        losses = self.losses.get(_losses_site(msg["name"]))
        if self.objective.step_sampling == "importance" and losses is None:
            raise InputError(
                "guide",
                expected="a guide that carries running step losses, as step_sampling='importance' needs",
                got="a guide without them",
                remedy="pass track_step_losses(guide) to SVI",
            )
        cost = self.objective.chain_cost(forward.diffusion, reverse.diffusion, forward.x_0, numpyro.prng_key(), losses)
        msg["fn"] = _with_base(msg["fn"], _ChainCost(cost, forward.event_shape))
        self.met.add(msg["name"])

    def check_all_met(self) -> None:
        for name in self.chains.keys() - self.met:
            raise InputError(
                name,
                expected="a ReverseChain in the model, as the guide has a ForwardChain",
                got="no such site in the model",
                remedy="give both chains the same site name",
            )


class _FirstStep(Distribution):
    """x_1 ~ q(x_1 | x_0), standing for the whole path; all later values are NaN, so that none is used unnoticed."""

    arg_constraints = {}
    support = constraints.real  # NaN fits no narrower one
    pytree_data_fields = ("diffusion", "x_0")

    def __init__(self, diffusion: Diffusion, x_0: Batch):
        self.diffusion = diffusion
        self.x_0 = x_0
        batch_shape = x_0.shape[: x_0.ndim - diffusion.event_dim]
        Distribution.__init__(self, batch_shape, (diffusion.num_steps, *diffusion.event_shape), validate_args=False)

    @property
    def has_rsample(self) -> bool:
        return self.diffusion.kernel.reparametrised

    def sample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        law = self.diffusion.marginal(self.x_0, self.diffusion.steps[0])
        x_1 = jnp.expand_dims(law.sample(key, sample_shape), len(sample_shape) + len(self.batch_shape))
        x_1 = x_1.astype(jnp.result_type(float))
        never_drawn = jnp.full((*sample_shape, *self.shape()), jnp.nan)
        axis = x_1.ndim - len(self.event_shape)
        return jnp.concatenate([x_1, jax.lax.slice_in_dim(never_drawn, 1, None, axis=axis)], axis=axis)

    def rsample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.sample(key, sample_shape)

    def log_prob(self, value: Batch, intermediates=None) -> Cost:
        return first_surprise(self.diffusion, self.x_0, first_of_path(self.diffusion, value))


class _ChainCost(Distribution):
    """log p(path) - log q(path | x_0) in expectation, whatever the path's value: the chain's share of the bound."""

    arg_constraints = {}
    support = constraints.real
    pytree_data_fields = ("cost",)

    def __init__(self, cost: Cost, event_shape: tuple[int, ...]):
        self.cost = cost
        Distribution.__init__(self, cost.shape, event_shape, validate_args=False)

    def log_prob(self, value: Batch, intermediates=None) -> Cost:
        return self.cost


_LOSSES = "$step_losses"


def _losses_site(name: str) -> str:
    return name + _LOSSES


def _base[D: Distribution](msg: dict[str, Any], kind: type[D]) -> D | None:
    """The latent site's distribution below its expansions and masks, where it is of this kind."""
    if msg["type"] != "sample" or msg["is_observed"]:
        return None
    law = msg["fn"]
    while isinstance(law, ExpandedDistribution | MaskedDistribution):
        law = law.base_dist
    return law if isinstance(law, kind) else None


def _with_base(law: Distribution, base: Distribution) -> Distribution:
    """`base`, which has the batch shape of `law`, under the masks of `law`."""
    while isinstance(law, ExpandedDistribution | MaskedDistribution):
        if isinstance(law, MaskedDistribution):
            base = base.mask(law._mask)
        law = law.base_dist
    return base
