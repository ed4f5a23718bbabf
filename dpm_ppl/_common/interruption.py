"""How long work is interrupted: it hears Ctrl-C and the signals that end a process, and stops where it can save."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

_END = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """The system has asked the process to end, by SIGTERM or SIGHUP."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def interruptible(what: str) -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C, SIGTERM or SIGHUP into an answer True of the yielded function.

    `what` comes in chunks: the chunk at hand is finished, and what the block does then, such as saving. A SIGTERM or
    SIGHUP takes its effect when the block is left. A second Ctrl-C raises `KeyboardInterrupt` at once. Signals that are
    ignored stay ignored, and outside the main thread, where Python allows no handler, all are left as they are.
    """
    received: list[int] = []

    def handler(number: int, _frame: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not received:
            say = "; Ctrl-C again to stop at once" if number == signal.SIGINT else ""
            with contextlib.suppress(OSError):  # the terminal may be what has gone
                print(f"stopping after this chunk of {what}{say}", file=sys.stderr, flush=True)
        received.append(number)

    with _handled((signal.SIGINT, *_END), handler):
        yield lambda: bool(received)
    for number in received:
        if number in _END:
            signal.raise_signal(number)


@contextlib.contextmanager
def ends_by_exception() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise `Ended`, so that files are closed and locks are let go."""
    received: list[int] = []

    def handler(number: int, _frame: object) -> None:
        received.append(number)
        raise Ended(number)

    with _handled(_END, handler):
        try:
            yield
        except Exception as error:
            if received:  # a module of C that was being imported makes another error of it
                raise Ended(received[0]) from error
            raise


@contextlib.contextmanager
def _handled(numbers: tuple[int, ...], handler: Callable[[int, object], None]) -> Iterator[None]:
    previous = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.getsignal(number) for number in numbers}
    previous = {number: before for number, before in previous.items() if before is not signal.SIG_IGN}
    try:
        for number in previous:
            signal.signal(number, handler)
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before or signal.SIG_DFL)
