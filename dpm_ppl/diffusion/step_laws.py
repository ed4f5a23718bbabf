"""`StepLaws`: the laws of a single step of both chains, from kernel, schedule and network, which must fit together."""

import math
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import (
    as_jax_holds,
    check_event_shape,
    check_finite,
    check_kind,
    check_shape,
    event_sizes,
    is_traced,
    one_of,
)
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Batch, Uniforms
from dpm_ppl.kernels.base import AbstractKernel
from dpm_ppl.networks.base import AbstractNetwork
from dpm_ppl.networks.batches import outputs_of_batch
from dpm_ppl.schedules import AbstractSchedule
from dpm_ppl.schedules.steps import Step, check_steps_move

Edge = Literal["fixed", "learned"]


class StepLaws(eqx.Module):
    """What both chains are made of; `Diffusion` describes the fields."""

    kernel: AbstractKernel
    schedule: AbstractSchedule
    network: AbstractNetwork
    event_shape: tuple[int, ...] = eqx.field(static=True, converter=event_sizes)
    edge: Edge = eqx.field(static=True, default="fixed")

    def __check_init__(self):
        for name, kind in (("kernel", AbstractKernel), ("schedule", AbstractSchedule)):
            remedy = "for example GaussianKernel() and Erasure(1000)"
            check_kind(name, getattr(self, name), kind, expected=f"an instance of {kind.__name__}", remedy=remedy)
        remedy = "'fixed' is the paper's rule, 'learned' trains the last step as well"
        one_of("edge", self.edge, get_args(Edge), remedy)
        is_trained = bool(jax.tree.leaves(eqx.filter(self.schedule, eqx.is_inexact_array)))
        if is_trained and not self.kernel.reparametrised:
            raise InputError(
                "schedule",
                expected=f"a fixed schedule, as draws of {type(self.kernel).__name__} have no derivative in the rates",
                got=type(self.schedule).__name__,
                remedy="use Erasure, Linear, Cosine or Fixed",
            )
        if self.edge == "learned":
            self.check_steps_move(self.steps[:1])
        self._check_end()
        self._check_network()

    def _check_end(self) -> None:
        with jax.ensure_compile_time_eval():  # a fixed schedule is known while other things are traced
            steps = self.steps
            if not is_traced(steps):
                self.kernel.check_steps(steps)

    def _check_network(self) -> None:
        made_for = getattr(self.network, "num_steps", None)
        if made_for not in (None, self.num_steps):
            raise InputError(
                "network",
                expected=f"a network made for the schedule's T = {self.num_steps}",
                got=f"one made for {made_for} steps",
                remedy="build both with the same num_steps",
            )
        readout, has = getattr(self.network, "made_for", None), getattr(self.kernel, "readout", None)
        if readout is not None and getattr(has, "__name__", None) != readout:
            raise InputError(
                "network",
                expected=f"one whose outputs this kernel reads, as {type(self.network).__name__} is made for {readout}",
                got=f"{type(self.kernel).__name__}({getattr(has, '__name__', '')})",
                remedy=f"give the kernel the readout {readout}, or use another network",
            )
        expected = (*self.event_shape, self.kernel.num_outputs)
        x_t = self.kernel.stationary(self.event_shape).sample(jax.random.key(0))
        try:
            got = eqx.filter_eval_shape(self.network, x_t, self.steps[0])
        except (TypeError, ValueError, IndexError) as error:
            raise InputError(
                "network",
                expected=f"a network that takes x_t of shape {self.event_shape} and a Step",
                got=f"{type(error).__name__}: {error}",
                remedy="build the network with the event shape of the diffusion",
            ) from error
        told = f"outputs of shape {expected}: event shape, then {self.kernel.num_outputs} per coordinate"
        remedy = "build it with event_shape=diffusion's and num_outputs=kernel.num_outputs"
        check_shape("network", got, expected, expected=told, remedy=remedy)

    @property
    def num_steps(self) -> int:
        """T."""
        return self.schedule.num_steps

    @property
    def steps(self) -> Step:
        """All steps 1..T, along a leading axis."""
        return self.schedule.steps()

    @property
    def event_dim(self) -> int:
        """Number of axes of one datum."""
        return len(self.event_shape)

    @property
    def num_coordinates(self) -> int:
        """D, the number of scalars in one datum."""
        return math.prod(self.event_shape)

    def stationary(self) -> Distribution:
        """pi(x_T), for one datum."""
        return self.kernel.stationary(self.event_shape).to_event(self.event_dim)

    def transition(self, x_prev: Batch, step: Step) -> Distribution:
        """q(x_t | x_{t-1}); like the three laws below it takes `(*batch, *event_shape)`.

        `step` is one step for the whole batch, or one for each of its elements with fields of shape `(*batch,)`.
        """
        return self.kernel.transition(x_prev, self._aligned(step)).to_event(self.event_dim)

    def marginal(self, x_0: Batch, step: Step) -> Distribution:
        """q(x_t | x_0)."""
        return self.kernel.marginal(x_0, self._aligned(step)).to_event(self.event_dim)

    def bridge(self, x_t: Batch, x_0: Batch, step: Step) -> Distribution:
        """q(x_{t-1} | x_t, x_0)."""
        return self.kernel.bridge(x_t, x_0, self._aligned(step)).to_event(self.event_dim)

    def draw_bridge(self, x_0: Batch, step: Step, uniform: Uniforms) -> tuple[Batch, Distribution]:
        """A draw x_t ~ q(x_t | x_0) and q(x_{t-1} | x_t, x_0) from it, which may know more of x_t than its value.

        `uniform`, one number between 0 and 1 for each coordinate, says which draw.
        """
        x_t, bridge = self.kernel.draw_bridge(x_0, self._aligned(step), uniform)
        return x_t, bridge.to_event(self.event_dim)

    def reverse(self, x_t: Batch, step: Step) -> Distribution:
        """p(x_{t-1} | x_t), with the network applied to every element of the batch."""
        return self.kernel.reverse(self.outputs(x_t, step), x_t, self._aligned(step)).to_event(self.event_dim)

    def null(self, step: Step | None = None) -> Distribution:
        """The law of x_t, or without a step that of x_0, for one datum of a model that has learned nothing."""
        return self.kernel.null(self.event_shape, step).to_event(self.event_dim)

    def null_reverse(self, x_t: Batch, step: Step) -> Distribution:
        """Its law of x_{t-1} given x_t."""
        return self.kernel.null_reverse(x_t, self._aligned(step)).to_event(self.event_dim)

    def edge_law(self, x_1: Batch) -> Distribution:
        """p(x_0 | x_1), the last reverse step."""
        first = self.steps[0]
        # The paper's q(x_1 | x_0) pi(x_0) / pi(x_1), which by reversibility is T_pi itself, started from x_1.
        return self.null_reverse(x_1, first) if self.edge == "fixed" else self.reverse(x_1, first)

    def check_data(self, x_0: Array | np.ndarray, argument: str = "x_0") -> None:
        """Raise `InputError` where concrete data do not fit: shape, dtype, NaN, infinity, the kernel's support."""
        x_0 = as_jax_holds(x_0, argument)
        check_finite(x_0, argument)
        check_event_shape(argument, x_0, self.event_shape)
        if not is_traced(x_0):
            self.kernel.check_data(x_0)

    def check_steps_move(self, steps: Step | None = None) -> None:
        """Raise `InputError` where steps (all for None) of real values are too small to be seen in x_t.

        K is exact all the same, as the noise behind x_t is known; weights of paths and a learned last step read x_t.
        """
        if not self.kernel.reparametrised:
            return
        with jax.ensure_compile_time_eval():  # a fixed schedule is known while other things are traced
            steps = self.steps if steps is None else steps
        if not is_traced(steps):
            check_steps_move("schedule", steps)

    def _aligned(self, step: Step) -> Step:
        """Rates with singleton axes for the event, so that they broadcast against values."""
        axes = tuple(range(step.t.ndim, step.t.ndim + self.event_dim)) if step.t.ndim else ()
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, axes), step)

    def outputs(self, x_t: Batch, step: Step) -> Array:
        """What the network says of every element of the batch, `(*batch, *event_shape, num_outputs)`."""
        batch_shape = x_t.shape[: x_t.ndim - self.event_dim]
        flat = x_t.reshape(-1, *self.event_shape)
        if step.t.ndim:
            step = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, batch_shape).reshape(-1), step)
        outputs = outputs_of_batch(self.network, flat, step)
        return outputs.reshape(*batch_shape, *outputs.shape[1:])
