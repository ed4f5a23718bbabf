"""The networks of a guide: the one by default, and what a user's own must be like."""

from typing import Any, Protocol, runtime_checkable

from dpm_ppl._common.types import PRNGKey
from dpm_ppl.networks import AbstractNetwork, TimeMLP


@runtime_checkable
class NetworkMaker(Protocol):
    """Makes a network for vectors of `event_shape`; `TimeMLP` is one, and any function that returns a network."""

    def __call__(self, event_shape: tuple[int, ...], num_outputs: int, num_steps: int, *, key: PRNGKey) -> Any: ...


def guide_network(event_shape: tuple[int, ...], num_outputs: int, num_steps: int, *, key: PRNGKey) -> AbstractNetwork:
    """A small `TimeMLP`: with few steps it has to say much at each, but for a single vector."""
    return TimeMLP(event_shape, num_outputs, num_steps, width=64, depth=2, num_time_frequencies=4, key=key)
