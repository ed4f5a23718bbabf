"""The progress of long work: a bar in a terminal, a line every half minute elsewhere."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Protocol, TextIO, cast, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

_SECONDS_BETWEEN_LINES = 30.0
_PACE_SECONDS = 60.0


@runtime_checkable
class Show(Protocol):
    """Shows where a fit stands: updates done, mean loss per datum, updates skipped."""

    def __call__(self, done: int, *, loss: float, skipped: int) -> None: ...


@contextlib.contextmanager
def progress_display(enabled: bool, *, total: int, done: int, unit: str) -> Iterator[Show]:
    """A bar where stderr is a terminal, a line every half minute where it is not, nothing where not `enabled`."""
    pace = Pace(total)
    if not enabled:
        yield lambda done, *, loss, skipped: None
    elif sys.stderr.isatty():
        with _bar("updates", total, done) as (bar, task):

            def show(done: int, *, loss: float, skipped: int) -> None:
                pace.add(done)
                lost = f"{skipped} skipped" if skipped else ""
                bar.update(task, completed=done, refresh=True, text=f"{loss:.4f} {unit}", pace=pace.short, lost=lost)

            yield show
    else:
        line = _Lines()

        def show(done: int, *, loss: float, skipped: int) -> None:
            pace.add(done)
            line(done == total, f"update {done} of {total}: loss {loss:.4f} {unit} per datum{pace}, {skipped} skipped")

        yield show


@contextlib.contextmanager
def count_display(enabled: bool, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """The same for work that only counts: call what is yielded with how many of `total` are done."""
    pace = Pace(total)
    if not enabled:
        yield lambda done: None
    elif sys.stderr.isatty():
        with _bar(what, total, 0) as (bar, task):

            def show(done: int) -> None:
                pace.add(done)
                bar.update(task, completed=done, refresh=True, pace=pace.short)

            yield show
    else:
        line = _Lines()

        def show(done: int) -> None:
            pace.add(done)
            line(False, f"{done:,} of {total:,} {what}{pace}")

        yield show


class Pace:
    """How fast work has gone lately, and how long the rest of `total` will take.

    That is over the last minute, or the last half of the time so far where that is longer: evaluations are part of a
    fit, and one of them alone does not tell how it goes on. The first piece of work starts the clock, since all
    compilation is in it.
    """

    def __init__(self, total: int):
        self.total = total
        self._began: float | None = None
        self._points: deque[tuple[float, int]] = deque()

    def add(self, done: int) -> None:
        """So much is done now."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] < now - max(_PACE_SECONDS, (now - self._began) / 2):
            self._points.popleft()

    @property
    def rate(self) -> float | None:
        """Per second; None while nothing is known, as on a clock that has not moved yet."""
        (start, before), (now, done) = self._points[0], self._points[-1]
        return (done - before) / (now - start) if done > before and now > start else None

    @property
    def left(self) -> timedelta | None:
        """Time until all is done."""
        if self.rate is None:
            return None
        return timedelta(seconds=round((self.total - self._points[-1][1]) / self.rate))

    @property
    def short(self) -> str:
        """As it stands in a bar."""
        return "" if self.rate is None else f"{_figure(self.rate)}/s {self.left}"

    def __str__(self) -> str:
        return "" if self.rate is None else f", {_figure(self.rate)} a second, {self.left} left"


def _figure(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


@contextlib.contextmanager
def _bar(what: str, total: int, done: int) -> Iterator[tuple[Progress, TaskID]]:
    """A bar that takes what room the figures leave it."""
    columns = [
        TextColumn(what),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[text]}"),
        TextColumn("{task.fields[pace]}"),
        TextColumn("[red]{task.fields[lost]}"),
    ]
    console = Console(file=cast(TextIO, _Deaf(sys.stderr)))
    # No refresh thread: the bar is drawn after a chunk, and takes nothing from the computation between.
    with Progress(*columns, console=console, auto_refresh=False, expand=True) as bar:
        yield bar, bar.add_task("", total=total, completed=done, text="", pace="", lost="")


class _Lines:
    """Prints what it is given last, every half minute or at once."""

    def __init__(self):
        self._last = time.monotonic()
        self._file = _Deaf(sys.stderr)

    def __call__(self, at_once: bool, text: str) -> None:
        if at_once or time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            print(text, file=self._file, flush=True)


class _Deaf:
    """A stream whose reader may go away: a terminal that hangs up must not break off the work it was shown."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
