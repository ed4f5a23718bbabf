"""Tables of named columns of unlike kinds, read from a file and written as they came.

A table is a matrix of numbers and what its columns mean. Whole numbers, truth values and categories, as codes 0, 1, ...
in the order of their names, are discrete: `Dataset.from_table` dequantises them, so that the bound is one on the
probability of the value and not on a density that has no limit. Real columns keep their density.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from dpm_ppl._errors import InputError

if TYPE_CHECKING:
    import pandas

ColumnKind = Literal["real", "whole", "bool", "category"]
MOST_WHOLE = 10_000
"""Whole numbers over a wider range are taken as real ones: the noise of one unit would be lost in float32."""
MOST_CATEGORIES = 100
SUFFIXES = (".csv", ".parquet", ".npz")
"""Of the files that hold tables."""


@dataclass(frozen=True)
class Column:
    """What the numbers of a column mean: whole ones lie from `lowest` to `highest`, of a category they are codes."""

    name: str
    kind: ColumnKind = "real"
    lowest: int = 0
    highest: int = 0
    labels: tuple[str, ...] = ()

    @property
    def is_discrete(self) -> bool:
        """Whether its values are steps of one, to be dequantised."""
        return self.kind != "real"

    def __str__(self) -> str:
        span = f" {self.lowest} to {self.highest}" if self.kind == "whole" else ""
        return f"{self.name} ({self.kind}{span}{f' of {len(self.labels)}' if self.labels else ''})"


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers `(row, column)` in float64, and the columns they are of."""

    values: np.ndarray
    columns: tuple[Column, ...]

    @classmethod
    def of_frame(cls, frame: "pandas.DataFrame", argument: str = "data", like: "Table | None" = None) -> "Table":
        """The table in a data frame; with `like`, one of the same columns, whose codes are those of `like`.

        **Raises:** `InputError` naming a column that is missing, has missing values, dates, nothing but different
        texts, or anything else that is no number, truth value or category.
        """
        if not len(frame) or not len(frame.columns):
            raise _refused(argument, "a table with rows and columns", f"shape {frame.shape}", "check the file")
        names = [str(name) for name in frame.columns]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise _refused(argument, "columns of different names", f"{twice!r} twice", "rename one")
        if like is not None and sorted(names) != sorted(column.name for column in like.columns):
            wanted = ", ".join(column.name for column in like.columns)
            raise _refused(argument, f"the columns {wanted}", ", ".join(names), "bring the same columns")
        frame = frame.set_axis(names, axis="columns")
        found = {column.name: column for column in like.columns} if like is not None else {}
        pairs = [
            _read(frame[name], name, found.get(name), argument)
            for name in ([column.name for column in like.columns] if like is not None else names)
        ]
        return cls(np.stack([values for values, _ in pairs], axis=1), tuple(column for _, column in pairs))

    def part(self, places: np.ndarray) -> "Table":
        """Some of the rows."""
        return replace(self, values=self.values[places])

    def __len__(self) -> int:
        return len(self.values)


def frame_of(columns: Sequence[Column], values: np.ndarray) -> "pandas.DataFrame":
    """Values `(row, column)` as a data frame whose columns have the names and kinds that were read."""
    import pandas  # takes half a second to import, and only tables need it

    def as_read(column: Column, numbers: np.ndarray) -> Any:
        if column.kind == "real":
            return numbers
        codes = np.rint(numbers).astype(np.int64)
        if column.kind == "category":
            return pandas.Categorical.from_codes(codes.tolist(), list(column.labels))
        return codes.astype(bool) if column.kind == "bool" else codes

    return pandas.DataFrame({column.name: as_read(column, values[:, i]) for i, column in enumerate(columns)})


def archived(path: Path) -> list[str]:
    """The names of the arrays in a `.npz` file, none where there is no such file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return list(archive.files)
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError):
        return []


def read_frame(path: Path, argument: str = "data") -> "pandas.DataFrame":
    """The data frame in a `.csv` file, a `.parquet` file, or a `.npz` file of named columns of one length.

    **Raises:** `InputError` where there is no such file, or it does not hold a table.
    """
    import pandas

    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": pandas.read_csv,
        ".parquet": pandas.read_parquet,
        ".npz": lambda path: pandas.DataFrame(dict(np.load(path, allow_pickle=False))),
    }
    if not path.is_file():
        raise _refused(argument, f"a {path.suffix} file", f"no file {path}", "check the path")
    try:
        return readers[path.suffix](path)
    except ImportError as error:
        raise _refused(
            argument, "a file that can be read", path, "install the extra: pip install 'dpm-ppl[tables]'"
        ) from error
    except Exception as error:  # readers fail in many ways, all of which mean the same
        got = f"{path}, which does not read as one ({' '.join(str(error).split())})"
        raise _refused(argument, f"a table in a {path.suffix} file", got, "check the file") from error


def write_frame(frame: "pandas.DataFrame", file: BinaryIO, suffix: str) -> None:
    """The frame into a `.csv`, `.parquet` or `.npz` file, of which the first and last have texts for categories."""
    if suffix == ".parquet":
        frame.to_parquet(file, index=False)
    elif suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        plain = {name: frame[name].astype(str) if frame[name].dtype == "category" else frame[name] for name in frame}
        arrays = {str(name): column.to_numpy(_plain(column)) for name, column in plain.items()}
        np.savez(file, allow_pickle=False, **arrays)


def _plain(column: "pandas.Series") -> Any:
    return column.dtype if isinstance(column.dtype, np.dtype) and column.dtype != object else np.str_


def _read(column: "pandas.Series", name: str, known: Column | None, argument: str) -> tuple[np.ndarray, Column]:
    """A column's numbers, and what they mean."""
    from pandas.api import types

    def refused(expected: str, got: object, remedy: str) -> InputError:
        return _refused(argument, f"column {name!r} to have {expected}", got, remedy)

    num_missing = int(column.isna().sum())
    if num_missing:
        raise refused("no missing values", f"{num_missing:,}", "drop those rows, or fill them in")
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        raise refused("numbers, truth values or categories", "dates", "turn them into numbers, such as days since one")
    if types.is_bool_dtype(column):
        return column.to_numpy(float), Column(name, "bool", 0, 1)
    if types.is_numeric_dtype(column) and not types.is_complex_dtype(column):
        return _numbers(column.to_numpy(float), name, known)
    labels = tuple(sorted(map(str, column.cat.categories if column.dtype == "category" else column.unique())))
    if all(_is_date(label) for label in labels):
        raise refused("numbers, truth values or categories", "dates", "turn them into numbers, such as days since one")
    if known is None and (len(labels) > MOST_CATEGORIES or len(labels) == len(column) > 2):
        raise refused(
            f"at most {MOST_CATEGORIES} categories, in more rows",
            f"{len(labels):,} in {len(column):,} rows",
            "drop it, or join categories",
        )
    known = Column(name, "category", 0, len(labels) - 1, labels) if known is None else known
    code = {label: place for place, label in enumerate(known.labels)}
    strange = [label for label in map(str, column.unique()) if label not in code]
    if strange:
        raise refused(f"the categories {', '.join(known.labels) or 'none'}", strange[0], "use the same categories")
    return np.array([code[str(label)] for label in column], float), known


def _numbers(values: np.ndarray, name: str, known: Column | None) -> tuple[np.ndarray, Column]:
    if known is not None:
        return values, known
    is_whole = bool(np.isfinite(values).all() and (values == np.floor(values)).all())
    if not is_whole or np.ptp(values) >= MOST_WHOLE:
        return values, Column(name)
    return values, Column(name, "whole", int(values.min()), int(values.max()))


def _is_date(label: str) -> bool:
    from datetime import datetime

    try:
        datetime.fromisoformat(label)
    except ValueError:
        return False
    return not label.isdigit()


def _refused(argument: str, expected: str, got: object, remedy: str) -> InputError:
    return InputError(argument, expected=expected, got=got, remedy=remedy)
