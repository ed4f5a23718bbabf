"""What the commands' arguments have in common."""

from pathlib import Path
from typing import Annotated

import tyro

Name = Annotated[str, tyro.conf.Positional]
Directory = Annotated[Path, tyro.conf.Positional]


def _spec[T: (int, float)](kind: type[T], expected: str) -> tyro.constructors.PrimitiveConstructorSpec[T | None]:
    """A number from the command line; unlike tyro's own, a wrong one is answered without the names of Python types."""

    def read(texts: list[str]) -> T:
        try:
            return kind(texts[0])
        except ValueError:
            number = _float(texts[0])
        if number is None or number != kind(number):
            raise ValueError(f"expected {expected}, got {texts[0]}")
        return kind(number)

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N" if kind is int else "X",
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, int | float),
        str_from_instance=lambda value: [str(value)],
    )


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


Whole = Annotated[int, _spec(int, "a whole number, as 1000 or 1e3")]
WholeOrNone = Annotated[int | None, _spec(int, "a whole number, as 1000 or 1e3")]
RealOrNone = Annotated[float | None, _spec(float, "a number")]
