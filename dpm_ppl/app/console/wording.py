"""Errors of the library in the words of the command line: its options and positions in place of Python's names."""

import inspect
import re
from collections.abc import Callable
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
