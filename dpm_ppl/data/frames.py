"""Files of tables: reading what users bring (.csv, .parquet, .npz), and writing what `sample` draws."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from dpm_ppl.data.columns import is_number, refusal

if TYPE_CHECKING:
    import pandas

SUFFIXES = (".csv", ".parquet", ".npz")
"""Of the files that hold tables."""


def suffix_like(path: str | Path) -> str:
    """That of a table written like the one in a file: its own, in small letters, or `.csv`."""
    suffix = Path(path).suffix.lower()
    return suffix if suffix in SUFFIXES else SUFFIXES[0]


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

    suffix = path.suffix.lower()
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": pandas.read_csv,
        ".parquet": pandas.read_parquet,
        ".npz": lambda path: pandas.DataFrame(dict(np.load(path, allow_pickle=False))),
    }
    if not path.is_file():
        raise refusal(argument, f"a {suffix} file", f"no file {path}", "check the path")
    try:
        frame = readers[suffix](path)
    except ImportError as error:
        raise refusal(
            argument, "a file that can be read", path, "install the extra: pip install 'dpm-ppl[tables]'"
        ) from error
    except Exception as error:  # readers fail in many ways, all of which mean the same
        got = f"{path}, which does not read as one ({' '.join(str(error).split())})"
        raise refusal(argument, f"a table in a {suffix} file", got, "check the file") from error
    if suffix == ".csv":
        _check_header(frame, argument)
    return frame


def _check_header(frame: "pandas.DataFrame", argument: str) -> None:
    """Raise `InputError` where a .csv file has no names, or other marks than commas between its columns."""
    import pandas

    names = [str(name) for name in frame.columns]
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        remedy = "save it with commas, and with points in numbers"
        raise refusal(argument, "columns with commas between them", f"the line {names[0]!r}", remedy)
    for name in names:
        if all(is_number(part) for part in name.split()) and not name.isdigit():
            remedy = "begin the file with a line of names, or save the numbers as .npy"
            raise refusal(argument, "names of columns in the first line", f"the number {name}", remedy)
    if not frame.index.equals(pandas.RangeIndex(len(frame))):
        remedy = "give every column a name, and put texts with commas in quotes"
        raise refusal(argument, "as many fields in a row as there are names", "more", remedy)


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


def _plain(column: Any) -> Any:
    return column.dtype if isinstance(column.dtype, np.dtype) and column.dtype != object else np.str_
