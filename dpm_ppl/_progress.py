"""What long work shows to a person and hears from one: a progress bar, and Ctrl-C."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 30.0


@runtime_checkable
class Show(Protocol):
    """Shows where a fit stands: updates done, mean loss per datum, updates per second, updates skipped."""

    def __call__(self, done: int, *, loss: float, rate: float, skipped: int) -> None: ...


@contextlib.contextmanager
def progress_display(enabled: bool, *, total: int, done: int, unit: str) -> Iterator[Show]:
    """A bar where stderr is a terminal, a line every half minute where it is not, nothing where not `enabled`."""
    if not enabled:
        yield lambda done, *, loss, rate, skipped: None
    elif sys.stderr.isatty():
        with _bar(total, done, unit) as show:
            yield show
    else:
        yield _lines(total, unit)


@contextlib.contextmanager
def _bar(total: int, done: int, unit: str) -> Iterator[Show]:
    columns = [
        TextColumn("updates"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"loss {{task.fields[loss]:.4f}} {unit} per datum"),
        TextColumn("{task.fields[rate]:.0f} updates/s"),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[skipped]}"),
    ]
    # No refresh thread: the bar is drawn after a chunk, and takes nothing from the computation between.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as bar:
        task = bar.add_task("", total=total, completed=done, loss=float("nan"), rate=0.0, skipped="")

        def show(done: int, *, loss: float, rate: float, skipped: int) -> None:
            bar.update(task, completed=done, loss=loss, rate=rate, skipped=f"{skipped} skipped" if skipped else "")
            bar.refresh()

        yield show


def _lines(total: int, unit: str) -> Show:
    last_line = time.monotonic()

    def show(done: int, *, loss: float, rate: float, skipped: int) -> None:
        nonlocal last_line
        if done < total and time.monotonic() - last_line < _SECONDS_BETWEEN_LINES:
            return
        last_line = time.monotonic()
        left = (total - done) / rate
        print(
            f"update {done} of {total}: loss {loss:.4f} {unit} per datum, {rate:.0f} updates/s, {left:.0f} s left, "
            f"{skipped} skipped",
            file=sys.stderr,
            flush=True,
        )

    return show


@contextlib.contextmanager
def count_display(enabled: bool, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """The same for work that only counts: call what is yielded with how many of `total` are done."""
    if not enabled:
        yield lambda done: None
    elif sys.stderr.isatty():
        columns = [TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done, refresh=True)
    else:
        yield _count_lines(what, total)


def _count_lines(what: str, total: int) -> Callable[[int], None]:
    start = last_line = time.monotonic()

    def show(done: int) -> None:
        nonlocal last_line
        now = time.monotonic()
        if now - last_line < _SECONDS_BETWEEN_LINES:
            return
        last_line = now
        left = (total - done) * (now - start) / done
        print(f"{done:,} of {total:,} {what}, {left:.0f} s left", file=sys.stderr, flush=True)

    return show


@contextlib.contextmanager
def interruptible(what: str) -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into an answer True of the yielded function; a second one raises `KeyboardInterrupt`.

    `what` comes in chunks, and the chunk at hand is finished.

    Outside the main thread, where Python allows no handler, Ctrl-C is left as it is.
    """
    requested = False

    def handler(_number: int, _frame: object) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        print(f"stopping after this chunk of {what}; Ctrl-C again to stop at once", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: requested
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: requested
    finally:
        signal.signal(signal.SIGINT, previous or signal.SIG_DFL)
