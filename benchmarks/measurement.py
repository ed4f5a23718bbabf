"""A measured figure beside its target, and how figures are taken on a machine that others use too."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import monitoring

_COMPILED = "/jax/core/compile/backend_compile_duration"


@dataclass(frozen=True)
class Measurement:
    """A figure that holds where it is at most its target."""

    name: str
    figure: float
    target: float
    detail: str

    @property
    def holds(self) -> bool:
        return bool(self.figure <= self.target)  # NaN holds nothing


def seconds(run: Callable[[], Any]) -> float:
    """Time until everything that `run` returns has been computed."""
    began = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - began


def peak_so_far() -> int:
    """Bytes, as Linux counts them; `getrusage` would count what the process that started this one had held."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def median_ratio(name: str, above: list[float], below: list[float], target: float) -> Measurement:
    """The median ratio of pairs of seconds taken one right after the other, so that a change of load hits both."""
    ratios = np.divide(above, below)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    milliseconds = f"{1e3 * np.median(above):.2f} ms over {1e3 * np.median(below):.2f} ms"
    detail = f"{milliseconds}; half of {len(ratios)} pairs within {low:.3f} to {high:.3f}"
    return Measurement(name, float(middle), target, detail)


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
