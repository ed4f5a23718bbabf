"""Files that are written whole or not at all, whatever ends the process; folders where one process works at a time."""

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from dpm_ppl._common.errors import InputError

_UNFINISHED = ".*.unfinished"
_LOCK = ".lock"


@contextlib.contextmanager
def alone_in(folder: Path, argument: str) -> Iterator[None]:
    """Keeps other processes from working in a folder; the system lets go of it when this one ends, however it does.

    What a process that was killed has left unfinished there is removed.

    **Raises:** `InputError` that names `argument` where another process is at work there.
    """
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            argument,
            expected="a directory in which no other process is at work",
            got=f"{folder}, where one is",
            remedy="wait until it has ended, or name another directory",
        ) from None
    try:
        for stale in folder.glob(_UNFINISHED):
            stale.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def make_folder(
    folder: Path, argument: str, *, expected: str = "a directory that can be made", remedy: str = "name another"
) -> None:
    """Makes a folder and those above it, where they are not there yet.

    **Raises:** `InputError` that names `argument` where that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(argument, expected=expected, got=error, remedy=remedy) from error


def check_folder_of(path: str | os.PathLike[str], argument: str) -> None:
    """Raise `InputError` that names `argument` unless the folder in which a file is to be written is there."""
    folder = Path(path).parent
    if not folder.is_dir():
        got = f"no directory {folder}"
        raise InputError(argument, expected="a file in a directory that exists", got=got, remedy="make the directory")


@contextlib.contextmanager
def intact(argument: str, *, expected: str, remedy: str) -> Iterator[None]:
    """Around what reads a file: damage shows in many ways, all of which mean the same.

    **Raises:** `InputError` that names `argument` in place of whatever is raised.
    """
    try:
        yield
    except Exception as failure:
        got = f"a truncated, damaged or foreign one ({failure})"
        raise InputError(argument, expected=expected, got=got, remedy=remedy) from failure


def is_unused(folder: Path) -> bool:
    """Whether a folder holds nothing but what a process that was killed has left unfinished."""
    return all(path.match(_UNFINISHED) or path.name == _LOCK for path in folder.iterdir())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` once it is whole and on the disk."""
    unfinished = path.with_name(_UNFINISHED.replace("*", f"{path.name}.{os.getpid()}"))
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def whole_archive(path: Path) -> Iterator[Any]:
    """The arrays of a `.npz` file, after every one of them has passed its checksum; damage raises whatever finds it."""
    with zipfile.ZipFile(path) as members:
        damaged = members.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"bad checksum of {damaged}")
    with np.load(path, allow_pickle=False) as archive:
        yield archive


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` outlive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
