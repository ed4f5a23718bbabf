"""The options of an experiment: one typed configuration, declared once.

The command line makes its flags and their help from the fields, and a run keeps their values.
"""

import abc
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from dpm_ppl._common.errors import InputError

DIFFUSION = "diffusion"
"""The name of the method that experiments are about."""
LAST_SEED = 2**32 - 1
"""JAX drops what a seed has above 32 bits."""


def option(default: Any, about: str, *, of_diffusion: bool = False) -> Any:
    """A field that a user may set, described in one sentence; `of_diffusion` says that it means nothing to others."""
    return dataclasses.field(default=default, metadata={"about": about, "of_diffusion": of_diffusion})


def kept(*, recorded: bool) -> Any:
    """A field that no user sets: a run keeps it (`recorded`), or has it when its data are gone."""
    return dataclasses.field(default=None, metadata={"recorded": recorded})


@dataclass(frozen=True)
class Option:
    """An option as the command line shows it."""

    name: str
    kind: Any
    default: Any
    about: str
    of_diffusion: bool

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return flag(self.name)

    @property
    def is_file(self) -> bool:
        """Whether its value is the path of a file."""
        return Path in getattr(self.kind, "__args__", (self.kind,))


@dataclass(frozen=True, kw_only=True)
class AbstractOptions(abc.ABC):
    """What can be chosen of an experiment; the class describes it and makes it.

    `name` is how the experiment is called. Fields are made by `option`, or by `kept`.
    """

    name: ClassVar[str]

    method: str = option(DIFFUSION, "What is fitted to the data.")

    @abc.abstractmethod
    def experiment(self, seed: int = 0) -> Any:
        """The `Experiment` with these options and this seed.

        **Raises:** `InputError` for options that do not fit together, or not the data.
        """

    @classmethod
    def all(cls) -> list[Option]:
        """Its options, in the order of their declaration."""
        kinds = get_type_hints(cls)
        return [
            Option(
                field.name, kinds[field.name], field.default, field.metadata["about"], field.metadata["of_diffusion"]
            )
            for field in dataclasses.fields(cls)
            if "about" in field.metadata
        ]

    def recorded(self) -> dict[str, Any]:
        """The values that a run keeps, as JSON; without those of the diffusion where the method is another."""
        values = {}
        for field in dataclasses.fields(self):
            of_another = self.method != DIFFUSION and field.metadata.get("of_diffusion", False)
            if field.metadata.get("recorded", True) and not of_another:
                value = getattr(self, field.name)
                values[field.name] = str(value) if isinstance(value, Path) else value
        return values


Zoo = Mapping[str, type[AbstractOptions]]


def flag(option: str) -> str:
    """An option as it is written on the command line."""
    return "--" + option.replace("_", "-")


def check_range(argument: str, value: int | float, least: int | float, most: int | float | None = None) -> None:
    """Raise `InputError` unless `least <= value <= most`."""
    if not least <= value or (most is not None and value > most):
        expected = f"at least {least}" + ("" if most is None else f" and at most {most}")
        raise InputError(argument, expected=expected, got=value, remedy="leave it out for the default")
