"""SVI objectives that cost the two chains of a NumPyro program in closed form: what they have in common.

A program is rewritten and the rest left to NumPyro's `Trace_ELBO`:

- in the guide, every `ForwardChain` is drawn no further than x_1 (`FirstStep`), at a cost of zero mean;
- in the model, the `ReverseChain` at the same site is costed as the objective says (`ChainCost`).

All other sites, plates, scales, masks, parameters and mutable state are seen by `Trace_ELBO` as ever. Where scale and
mask of a path are not the same in model and guide, what is left of E log q(path | x_0) is added.
"""

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpyro
from jax.typing import ArrayLike
from numpyro.infer import Trace_ELBO
from numpyro.infer.elbo import ELBO
from numpyro.primitives import Messenger, mutable

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.memory import budget, memory_budget
from dpm_ppl._common.numpyro_seam import Distribution, prng_key
from dpm_ppl._common.types import Array, Batch, Cost, PRNGKey
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import forward_entropy
from dpm_ppl.objectives.chain_sites import ChainCost, FirstStep, are_same, base_of, factors_of, with_base
from dpm_ppl.objectives.step_sampling import StepLosses, initial_step_losses


class AbstractChainELBO(ELBO, abc.ABC):
    """An evidence lower bound in which each pair of chains has the cost that `chain_cost` gives.

    The path is never drawn: of its values a program may read x_1 only, all others are NaN. A path that the user's own
    handlers fix (`substitute`, `replay`, `condition`) is costed like any other site.
    """

    can_infer_discrete = True  # the chain's steps are summed in closed form, bits included
    needs_step_losses = False
    steps_chunk: int | None = None

    def __init__(self, num_particles: int, vectorize_particles: bool | Callable):
        num_particles = whole_number("num_particles", num_particles)
        particles: dict[str, Any] = {"num_particles": num_particles, "vectorize_particles": vectorize_particles}
        self._rest = Trace_ELBO(**particles)
        ELBO.__init__(self, **particles)

    @abc.abstractmethod
    def chain_cost(self, guide: StepLaws, model: StepLaws, x_0: Batch, key: PRNGKey, losses: StepLosses | None) -> Cost:
        """E log p(path) - E log q(path | x_0), estimated per element of the batch; updates `losses` in place."""

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

    def __init__(self, objective: AbstractChainELBO, chains: dict[str, _Met], losses: dict[str, StepLosses]):
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
        if self.objective.needs_step_losses and losses is None:
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
