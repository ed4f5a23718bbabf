"""What a twist has to know of a chain is found out once, and remembered for the next observation."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

from dpm_ppl.diffusion.step_laws import StepLaws


def of_the_last_chain[Found](find: Callable[[StepLaws], Found]) -> Callable[[StepLaws], Found]:
    """A function of a diffusion that remembers its last answer, until another is asked about or this one is gone."""
    nothing: tuple[Any, Any] = (lambda: None, None)
    last = nothing

    def forget(gone: Any) -> None:
        nonlocal last
        if last[0] is gone:
            last = nothing

    @functools.wraps(find)
    def found(diffusion: StepLaws) -> Found:
        nonlocal last
        if last[0]() is not diffusion:
            last = weakref.ref(diffusion, forget), find(diffusion)
        return last[1]

    return found
