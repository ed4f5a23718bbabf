"""What the zoo's experiments share."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from dpm_ppl._common.errors import InputError

if TYPE_CHECKING:
    import jax
    import optax

VARIANT = '"paper" for the paper\'s own configuration.'
EDGE = 'The last reverse step: "fixed", as in the paper, or "learned".'
NUM_STEPS = "T, the steps of the diffusion"
"""What options that several experiments have are about."""

Edge = Literal["fixed", "learned"]
"""As `dpm_ppl.diffusion.Edge`, without JAX, which the descriptions of options do not wait for."""

TAIL = 0.1
"""Learning rate of the updates beyond those first asked for, in units of its peak."""


def adam(
    num_updates: int, *, learning_rate: float, warm_up: int = 200, weight_decay: float = 0.0, max_norm: float = 1.0
) -> "optax.GradientTransformation":
    """Adam after clipping by global norm; the rate rises for `warm_up` updates and falls along a cosine to zero.

    Where more updates follow than `num_updates`, it stays at `TAIL` of its peak from there on.
    """
    import optax

    warm_up = min(warm_up, num_updates // 10)
    falling = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warm_up, max(num_updates, warm_up + 1))
    rate = optax.join_schedules([falling, optax.constant_schedule(TAIL * learning_rate)], [num_updates])
    return optax.chain(optax.clip_by_global_norm(max_norm), optax.adamw(rate, weight_decay=weight_decay))


def network_key(seed: int) -> "jax.Array":
    """The key of a network's initial values."""
    from dpm_ppl.experiments.streams import Stream, key_of

    return key_of(seed, Stream.NETWORK)


def chosen[Choice](argument: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    """The choice of that name, or an `InputError` that lists the names."""
    if name not in choices:
        raise InputError(
            argument, expected=f"one of {', '.join(choices)}", got=repr(name), remedy="leave it out for the default"
        )
    return choices[name]
