"""Standard output and error as the terminals and pipes of users have them."""

import codecs
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

_PLAIN = {"±": "+-", "…": "...", "≤": "<=", "≥": ">="}


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("dpm_ppl_plain", _plainly)


@contextlib.contextmanager
def plain_output() -> Iterator[None]:
    """Within it, letters that the output cannot show are written in others, and warnings are a line each."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="dpm_ppl_plain")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"dpm-ppl: {message}", file=sys.stderr)
        yield


def print_json(value: Any) -> None:
    """One JSON value on standard output, as strict readers take it."""
    print(json.dumps(value, indent=2, allow_nan=False))


def close_output() -> None:
    """Lets what is still to be written go nowhere, so that Python does not complain at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
