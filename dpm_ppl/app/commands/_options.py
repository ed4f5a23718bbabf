"""The options of an experiment as flags of a command, made from the one place where they are declared."""

import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro

from dpm_ppl.app.commands._arguments import RealOrNone, WholeOrNone
from dpm_ppl.experiments.options import Option

KINDS: tuple[tuple[Any, Any, str], ...] = (
    (int, WholeOrNone, "N"),
    (float, RealOrNone, "X"),
    (Path, Path | None, "FILE"),
    (Any, str | None, "NAME"),
)
"""Of the values of options: how the command line reads each, and what the help calls it."""


def with_options(command: Callable[..., None], options: Iterable[Option]) -> Callable[..., None]:
    """The command with a flag for each option; if it takes `options`, it gets those that were given."""
    signature = inspect.signature(command)
    own = {name: _plain(one) for name, one in signature.parameters.items() if name != "options"}
    added = {option.name: option for option in options if option.name not in own}

    @wraps(command)
    def taking(*arguments: Any, **values: Any) -> None:
        given = {name: value for name in added if (value := values.pop(name)) is not None}
        command(*arguments, **values, **({"options": given} if "options" in signature.parameters else {}))

    return _with_parameters(taking, signature, [*own.values(), *map(_parameter, added.values())])


def with_memory(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a flag for the memory budget that it runs within."""
    signature = inspect.signature(command)

    @wraps(command)
    def within(*arguments: Any, memory: str | None = None, **values: Any) -> None:
        from dpm_ppl._common.memory import memory_budget, num_bytes

        with contextlib.nullcontext() if memory is None else memory_budget(num_bytes(memory, "--memory")):
            command(*arguments, **values)

    about = "For what is computed side by side, as 2GB; an eighth of the device's, at most 1GiB, if not given."
    annotation = Annotated[str | None, tyro.conf.arg(help=about, metavar="SIZE")]
    flag = inspect.Parameter("memory", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    return _with_parameters(within, signature, [*signature.parameters.values(), flag])


def experiment_in(words: list[str], names: Iterable[str]) -> str | None:
    """The first of the words that names an experiment, or else the first that may be meant to, as it is no flag's."""
    switches = ("--resume", "--json", "--sandwich")

    def is_free(before: str, word: str) -> bool:
        is_value = before.startswith("--") and "=" not in before and before not in switches
        return not is_value and not word.startswith("-")

    free = [word for before, word in zip(["", *words], words, strict=False) if is_free(before, word)]
    return next((word for word in free if word in names), free[0] if free else None)


def flag_value(words: list[str], flag: str) -> str | None:
    """The value of a flag among the words."""
    for word, after in zip(words, [*words[1:], None], strict=True):
        if word == flag or word.startswith(f"{flag}="):
            return after if word == flag else word.partition("=")[2]
    return None


def as_text(options: Mapping[str, Any]) -> dict[str, Any]:
    """Paths among the values as the text that a run keeps."""
    return {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in options.items()}


def _with_parameters(
    command: Callable[..., None], signature: inspect.Signature, parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """The wrapped command, of which these are shown as its parameters."""
    del command.__wrapped__  # which would show the signature of the command itself
    vars(command)["__signature__"] = signature.replace(parameters=parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter without a word of a default that says nothing."""
    if parameter.default is not None and parameter.default is not False:
        return parameter
    metavar = "PATH" if parameter.annotation == Path | None else None
    quiet = tyro.conf.arg(help_behavior_hint="", metavar=metavar)
    return parameter.replace(annotation=Annotated[parameter.annotation, quiet])


def _parameter(option: Option) -> inspect.Parameter:
    kinds = get_args(option.kind) or (option.kind,)
    kind, metavar = next((base, metavar) for one, base, metavar in KINDS if one in kinds or one is Any)
    if get_origin(option.kind) is Literal:
        metavar = "|".join(kinds)
    hint = "" if option.default is None else f"(default: {_short(option.default)})"
    about = tyro.conf.arg(help=option.about, metavar=metavar, help_behavior_hint=hint)
    annotation = Annotated[kind, about]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
