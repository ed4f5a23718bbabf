"""The paper's bound K as an SVI objective for any NumPyro program that holds the two chains.

`DiffusionELBO` rewrites a program and leaves the rest to NumPyro's `Trace_ELBO`:

- in the guide, every `ForwardChain` is drawn no further than x_1 (`FirstStep`), at a cost of zero mean;
- in the model, the `ReverseChain` at the same site is costed by per-step divergences in closed form (`ChainCost`).

All other sites, plates, scales, masks, parameters and mutable state are seen by `Trace_ELBO` as ever. Where scale and
mask of a path are not the same in model and guide, what is left of E log q(path | x_0) is added.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpyro
from jax.typing import ArrayLike
from numpyro.infer import Trace_ELBO
from numpyro.infer.elbo import ELBO
from numpyro.primitives import Messenger, mutable

from dpm_ppl._common.checks import one_of, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.memory import budget, memory_budget
from dpm_ppl._common.numpyro_seam import Distribution, prng_key
from dpm_ppl._common.sums import accurate_sum
from dpm_ppl._common.types import Array, Batch, Cost, PRNGKey
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain
from dpm_ppl.diffusion.lattice import Lattice, uniforms
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import end_divergence, forward_entropy, step_divergence, step_divergences
from dpm_ppl.networks.batches import size_of_batch
from dpm_ppl.objectives.chain_sites import ChainCost, FirstStep, are_same, base_of, factors_of, with_base
from dpm_ppl.objectives.step_sampling import (
    StepLosses,
    initial_step_losses,
    step_probabilities,
    stratified_steps,
    update_step_losses,
)

StepSampling = Literal["stratified", "importance"]


class DiffusionELBO(ELBO):
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
        particles: dict[str, Any] = {"num_particles": num_particles, "vectorize_particles": vectorize_particles}
        self._rest = Trace_ELBO(**particles)
        ELBO.__init__(self, **particles)

    def loss_with_mutable_state(self, rng_key, param_map, model, guide, *args, **kwargs):
        chains: dict[str, _Met] = {}
        losses: dict[str, StepLosses] = {}

        def guide_to_first_step(*args, **kwargs):
            with _StopAtFirstStep(chains, losses):
                return guide(*args, **kwargs)

        def costed_model(*args, **kwargs):
            costs = _CostChains(self, chains, losses)
            with costs:
                result = model(*args, **kwargs)
            costs.check_all_met()
            for name, surplus in costs.surplus.items():
                numpyro.factor(f"{name}$surplus", surplus)
            return result

        with memory_budget(max(budget() // self.num_particles, 1)):  # each has its share, being side by side
            return self._rest.loss_with_mutable_state(
                rng_key, param_map, costed_model, guide_to_first_step, *args, **kwargs
            )

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
        chain = base_of(msg, ForwardChain) or base_of(msg, FirstStep)
        if chain is not None:
            losses: Any = initial_step_losses(chain.event_shape[0] - 1)
            mutable(_losses_site(msg["name"]), losses)


class _Met(NamedTuple):
    """A forward chain of the guide, and what scales and masks its site."""

    chain: ForwardChain
    factors: list[ArrayLike]


class _StopAtFirstStep(Messenger):
    """Replaces the forward chains of a guide by their first step and keeps them for the model's side."""

    def __init__(self, chains: dict[str, _Met], losses: dict[str, StepLosses]):
        self.chains = chains
        self.losses = losses
        Messenger.__init__(self)

    def process_message(self, msg: dict[str, Any]) -> None:
        _refuse_exchanged(msg, ReverseChain, "guide", "ForwardChain")
        chain = base_of(msg, ForwardChain)
        if chain is not None and msg["value"] is None:
            x_0 = jnp.broadcast_to(chain.x_0, (*msg["fn"].batch_shape, *chain.diffusion.event_shape))
            self.chains[msg["name"]] = _Met(ForwardChain(chain.diffusion, x_0), factors_of(msg))
            msg["fn"] = with_base(msg["fn"], FirstStep(chain.diffusion, x_0))

    def postprocess_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "mutable" and msg["name"].endswith(_LOSSES):
            self.losses[msg["name"]] = msg["value"]


class _CostChains(Messenger):
    """Replaces the reverse chains of a model by their cost against the forward chains met in the guide."""

    def __init__(self, objective: DiffusionELBO, chains: dict[str, _Met], losses: dict[str, StepLosses]):
        self.objective = objective
        self.chains = chains
        self.losses = losses
        self.met: set[str] = set()
        self.surplus: dict[str, Cost] = {}
        Messenger.__init__(self)

    def process_message(self, msg: dict[str, Any]) -> None:
        _refuse_exchanged(msg, ForwardChain, "model", "ReverseChain")
        if msg["type"] != "sample" or msg["name"] not in self.chains:
            return
        forward, in_guide = self.chains[msg["name"]]
        reverse = base_of(msg, ReverseChain)
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
        in_model = factors_of(msg)
        x_0 = _only_where(jnp.asarray(math.prod(in_model)) != 0, forward) if in_model else forward.x_0
        cost = self.objective.chain_cost(forward.diffusion, reverse.diffusion, x_0, prng_key(), losses)
        if not are_same(in_model, in_guide):
            self.surplus[msg["name"]] = self._surplus(forward, math.prod(in_guide) - math.prod(in_model))
        msg["fn"] = with_base(msg["fn"], ChainCost(cost, forward.event_shape))
        self.met.add(msg["name"])

    def _surplus(self, forward: ForwardChain, excess: Any) -> Cost:
        """-E log q(path | x_0), as many times as the guide's site counts for more than the model's and the cost's."""
        chunk_size = self.objective.steps_chunk
        entropy = forward_entropy(forward.diffusion, forward.x_0, prng_key(), chunk_size=chunk_size)
        return jnp.where(excess == 0, 0.0, excess * entropy)

    def check_all_met(self) -> None:
        for name in self.chains.keys() - self.met:
            raise InputError(
                name,
                expected="a ReverseChain in the model, as the guide has a ForwardChain",
                got="no such site in the model",
                remedy="give both chains the same site name",
            )


def _refuse_exchanged(msg: dict[str, Any], kind: type[Distribution], program: str, expected: str) -> None:
    """Raise `InputError` for a chain in the other program, where K would be trained with its sign reversed."""
    if base_of(msg, kind) is not None:
        raise InputError(
            msg["name"],
            expected=f"a {expected} in the {program}",
            got=f"a {kind.__name__}: model and guide are exchanged",
            remedy="pass reverse_chain as the model and forward_chain as the guide",
        )


def _only_where(counts: Array, chain: ForwardChain) -> Batch:
    """The chain's data, and zeros where they do not count: they may be missing, and NaN would spoil all gradients."""
    counts = jnp.broadcast_to(counts, chain.batch_shape)
    return jnp.where(jnp.expand_dims(counts, range(-chain.diffusion.event_dim, 0)), chain.x_0, 0)


_LOSSES = "$step_losses"


def _losses_site(name: str) -> str:
    return name + _LOSSES
