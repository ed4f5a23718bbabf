"""Experiments declared by name, options and seed, as a user gives them on the command line or a run has kept them."""

import inspect
from collections.abc import Callable
from typing import Any

from dpm_ppl._common.errors import InputError
from dpm_ppl.experiments.experiment import DIFFUSION, OF_THE_DIFFUSION, Experiment

NO_OPTIONS = ("seed", "digest", "data_facts")
"""What an experiment is declared with beside the options of its own."""

LAST_SEED = 2**32 - 1
"""JAX drops what a seed has above 32 bits."""

Declare = Callable[..., Experiment]


def declare(zoo: dict[str, Declare], name: str, options: dict[str, Any], seed: int = 0) -> Experiment:
    """The experiment `name` of the zoo with these options and this seed.

    **Raises:** `InputError` for an unknown experiment, an option it does not have and a seed out of range.
    """
    if name not in zoo:
        raise InputError(
            "experiment",
            expected=f"one of {', '.join(zoo)}",
            got=repr(name),
            remedy="'dpm-ppl list' describes them; 'array' fits data of your own",
        )
    check_range("--seed", seed, 0, LAST_SEED)
    known = options_of(zoo[name])
    for option in options:
        if option not in (*known, *NO_OPTIONS):
            raise InputError(
                flag(option),
                expected=f"an option of {name} ({', '.join(map(flag, known))})",
                got="one it does not have",
                remedy="leave it out, or choose another experiment",
            )
    method = options.get("method", DIFFUSION)
    for option in OF_THE_DIFFUSION:
        if option in options and method != DIFFUSION:
            raise InputError(
                flag(option), expected=f"none with --method {method}", got=options[option], remedy="leave it out"
            )
    return zoo[name](**options, seed=seed)


def options_of(function: Declare) -> tuple[str, ...]:
    """Names of the options that an experiment of the zoo takes from a user."""
    return tuple(name for name in inspect.signature(function).parameters if name not in NO_OPTIONS)


def flag(option: str) -> str:
    """An option as it is written on the command line."""
    return "--" + option.replace("_", "-")


def check_range(argument: str, value: int | float, least: int | float, most: int | float | None = None) -> None:
    """Raise `InputError` unless `least <= value <= most`."""
    if not least <= value or (most is not None and value > most):
        expected = f"at least {least}" + ("" if most is None else f" and at most {most}")
        raise InputError(argument, expected=expected, got=value, remedy="leave it out for the default")
