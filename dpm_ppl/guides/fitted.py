"""`FittedGuide`: a guide with all that is needed to draw from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FittedGuide:
    """A NumPyro guide, the parameters it was fitted to, and the model that it approximates.

    **Arguments:** `params`, as `SVI.run` returns them; `model`, left out for an `AutoGuide`, which knows it (without a
    model there are draws but no importance weights); `args`, `kwargs`, what the two are called with, data included.
    """

    guide: Callable[..., Any]
    params: Mapping[str, Any]
    model: Callable[..., Any] | None = None
    args: tuple[Any, ...] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
