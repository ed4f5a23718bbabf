"""Standard output and error as terminals and pipes have them; errors in the words of the command line."""

import codecs
import contextlib
import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from dpm_ppl._common.errors import InputError, TrainingError

OTHER_NAMES = {
    "checkpoint_dir": "--out",
    "dataset": "--data",
    "train": "--data",
    "values": "--data",
    "checkpoint": "run",
    "observed": "--observe",
    "num_updates": "--updates",
}
"""Options for arguments of the library that have another name there."""

_PYTHON = re.compile(r"[A-Za-z_]\(|\b(dpm_ppl|Dataset|numpy|jax|optax|numpyro)\.|\b\w+=\w")
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


def spoken(error: InputError, command: Callable[..., Any] | None) -> str:
    """The line that a user of `command` reads."""
    parameters = {} if command is None else dict(inspect.signature(command).parameters)
    argument = error.argument
    if argument in parameters and parameters[argument].kind is inspect.Parameter.KEYWORD_ONLY:
        argument = "--" + argument.replace("_", "-")
    elif OTHER_NAMES.get(argument, "").removeprefix("--").replace("-", "_") in parameters:
        argument = OTHER_NAMES[argument]
    help_of = "dpm-ppl --help" if command is None else f"dpm-ppl {command.__name__} --help"
    remedy = f"'{help_of}' says what it takes" if _PYTHON.search(error.remedy) else error.remedy
    return f"{argument}: expected {error.expected}, got {error.got}; {remedy}"


def spoken_failure(error: TrainingError) -> str:
    """The same of a training that has broken off."""
    return f"{error.failure}: check the data, or try another --seed"
