"""How many programs XLA compiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jax import monitoring

_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextmanager
def compiled_programs() -> Iterator[list[str]]:
    """The programs that XLA compiles meanwhile."""
    programs: list[str] = []

    def listener(event: str, _seconds: float, **_: Any) -> None:
        if event == _COMPILED:
            programs.append(event)

    monitoring.register_event_duration_secs_listener(listener)
    try:
        yield programs
    finally:
        monitoring.unregister_event_duration_listener(listener)
