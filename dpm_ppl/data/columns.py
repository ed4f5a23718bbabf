"""Tables of named columns of unlike kinds, and the data frames they are made of and become again.

A table is a matrix of numbers and what its columns mean. Whole numbers, truth values and categories, as codes 0, 1, ...
in the order of their names, are discrete: `Dataset.from_table` dequantises them, so that the bound is one on the
probability of the value and not on a density that has no limit. Real columns keep their density.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dpm_ppl._common.errors import InputError

if TYPE_CHECKING:
    import pandas

ColumnKind = Literal["real", "whole", "bool", "category"]
MOST_WHOLE = 10_000
"""Whole numbers over a wider range are taken as real ones: the noise of one unit would be lost in float32."""
MOST_CATEGORIES = 100
ANY_KIND = "numbers, truth values or categories"
NO_DATES = "turn them into numbers, such as days since one"
SAME_KIND = "bring the same kind of data"


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
            raise refusal(argument, "a table with rows and columns", f"shape {frame.shape}", "check the file")
        names = [str(name) for name in frame.columns]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise refusal(argument, "columns of different names", f"{twice!r} twice", "rename one")
        if like is not None and sorted(names) != sorted(column.name for column in like.columns):
            wanted = ", ".join(column.name for column in like.columns)
            raise refusal(argument, f"the columns {wanted}", ", ".join(names), "bring the same columns")
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


def _read(column: Any, name: str, known: Column | None, argument: str) -> tuple[np.ndarray, Column]:
    """A column's numbers, and what they mean; those of `known` where there is one."""
    from pandas.api import types

    def refused(expected: str, got: object, remedy: str) -> InputError:
        return refusal(argument, f"column {name!r} to have {expected}", got, remedy)

    num_missing = int(column.isna().sum())
    if num_missing:
        remedy = "drop those rows, or fill them in; in a .csv, empty fields, NA and None are missing"
        raise refused("no missing values", f"{num_missing:,}", remedy)
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        raise refused(ANY_KIND, "dates", NO_DATES)
    are_numbers = types.is_numeric_dtype(column) and not types.is_complex_dtype(column)
    if are_numbers and (known is None or known.kind != "category"):
        return _numbers(column.to_numpy(float), name, known, types.is_bool_dtype(column), refused)
    if known is None or known.kind != "category":
        known = _category(column, name, known is not None, refused)
    code = {label: place for place, label in enumerate(known.labels)}
    strange = [label for label in map(str, column.unique()) if label not in code]
    if strange:
        raise refused(f"the categories {', '.join(known.labels) or 'none'}", strange[0], "use the same categories")
    return np.array([code[str(label)] for label in column], float), known


def _numbers(
    values: np.ndarray, name: str, known: Column | None, are_bools: bool, refused: Callable[..., InputError]
) -> tuple[np.ndarray, Column]:
    if not np.isfinite(values).all():
        raise refused("finite numbers", f"{int((~np.isfinite(values)).sum()):,} infinite", "drop or repair those rows")
    is_whole = bool((values == np.floor(values)).all())
    if known is not None:
        if known.is_discrete and not is_whole:
            raise refused("whole numbers", "fractions", SAME_KIND)
        if known.kind == "bool" and not np.isin(values, (0, 1)).all():
            raise refused("truth values", "other numbers", SAME_KIND)
        return values, known
    if are_bools:
        return values, Column(name, "bool", 0, 1)
    if not is_whole or np.ptp(values) >= MOST_WHOLE:
        return values, Column(name)
    return values, Column(name, "whole", int(values.min()), int(values.max()))


def _category(column: "pandas.Series", name: str, must_be_numbers: bool, refused: Callable[..., InputError]) -> Column:
    """What a column of texts means, in the order of the names unless it has an order of its own."""
    import pandas

    if isinstance(column.dtype, pandas.CategoricalDtype):
        labels = [str(category) for category in column.cat.categories]
        labels = labels if column.cat.ordered else sorted(labels)
        texts = []
    else:
        labels = sorted(map(str, column.unique()))
        texts = [text for text in map(str, column) if not is_number(text)]
    if all(_is_date(label) for label in labels):
        raise refused(ANY_KIND, "dates", NO_DATES)
    if must_be_numbers:
        raise refused("numbers", "texts", SAME_KIND)
    if 0 < len(texts) < len(column) / 2:
        remedy = "drop those rows; where numbers stand for categories, write them in words"
        raise refused("numbers in all rows", f"{texts[0]!r} and the like in {len(texts):,} of them", remedy)
    if len(labels) > MOST_CATEGORIES or len(labels) == len(column) > 2:
        got = f"{len(labels):,} in {len(column):,} rows"
        raise refused(f"at most {MOST_CATEGORIES} categories, in more rows", got, "drop it, or join categories")
    return Column(name, "category", 0, len(labels) - 1, tuple(labels))


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _is_date(label: str) -> bool:
    from datetime import datetime

    try:
        datetime.fromisoformat(label)
    except ValueError:
        return False
    return not label.isdigit()


def refusal(argument: str, expected: str, got: object, remedy: str) -> InputError:
    """An `InputError` of a table or its file, to be raised."""
    return InputError(argument, expected=expected, got=got, remedy=remedy)
