"""A user's own data: read from a file, split, scaled, and looked at for what would make a figure mean little."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from dpm_ppl._common.checks import real_array
from dpm_ppl._common.errors import InputError
from dpm_ppl.data.columns import Table
from dpm_ppl.data.dataset import Dataset, load_array, split, stand_in
from dpm_ppl.data.frames import SUFFIXES, archived, read_frame
from dpm_ppl.data.rows import chunks
from dpm_ppl.data.units import Units
from dpm_ppl.models.methods.gaussian import moments

Kernel = Literal["gaussian", "bernoulli", "categorical"]
Scale = Literal["columns", "pooled"]
FEWEST = 20
"""Data below which no figure of held-out data means anything."""
BYTE_LEVELS = 256
MOST_STANDING_IN = 10_000
MOST_CORRELATED = 2_000
"""Coordinates, beyond which their covariance is too large to be worked with."""


@dataclass(frozen=True, eq=False)
class OwnData:
    """What is trained on, chosen by and held out, and how it came about."""

    train: Dataset
    validation: Dataset | None
    heldout: Dataset
    known: Dataset
    """All that is not held out."""
    kernel: Kernel
    scale: Scale | None
    digest: str

    @cached_property
    def gaussian(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and covariance of what is not held out, standardised; None for whole numbers, and many coordinates."""
        is_small = self.kernel == "gaussian" and self.known.units.num_coordinates <= MOST_CORRELATED
        return moments(self.known.source, self.known.units) if is_small else None

    def facts(self) -> dict[str, Any]:
        """What is to be known of the data in order to declare their experiment without them."""
        parts = {"train": self.train, "validation": self.validation, "heldout": self.heldout, "known": self.known}
        sizes = {name: part.num_points for name, part in parts.items() if part is not None}
        return {"units": self.known.units.as_json(), "num_points": sizes, "digest": self.digest}


def without_data(facts: dict[str, Any], kernel: Kernel, scale: Scale | None) -> OwnData:
    """Data that stand in for those of which `OwnData.facts` has told."""
    units = Units.from_json(facts["units"])
    parts = {name: stand_in(units, min(num, MOST_STANDING_IN)) for name, num in facts["num_points"].items()}
    return OwnData(**{"validation": None, **parts}, kernel=kernel, scale=scale, digest=facts["digest"])


def read_own(
    data: str | Path | None,
    *,
    kernel: str | None,
    levels: int | None,
    scale: str | None,
    test_data: str | Path | None,
    heldout_share: float,
    validation_share: float,
    seed: int,
    digest: str | None,
) -> OwnData:
    """The data of a file, of which the seed holds out a share, or those of a test file.

    `digest` is that of the files that are to be read, if it is known.

    **Raises:** `InputError` for a file that cannot be read, values that do not fit the kernel, and too few data.
    """
    if data is None:
        raise InputError(
            "--data", expected="a file of data", got="none", remedy="pass --data x.npy, .npz, .csv or .parquet"
        )
    values = _read(data, "--data")
    test = None if test_data is None else _read(test_data, "--test-data", values)
    found_digest = ", ".join(_digest(path) for path in (data, test_data) if path is not None)
    if digest not in (None, found_digest):
        raise InputError(
            "--data",
            expected="the data that the run began with",
            got=f"{data}, which holds others",
            remedy="give the file with the same contents",
        )
    found = _kernel_of(values) if kernel is None else kernel
    if found not in get_args(Kernel):
        expected, remedy = "gaussian, bernoulli or categorical", "bernoulli is for bits, categorical for levels"
        raise InputError("--kernel", expected=expected, got=repr(kernel), remedy=remedy)
    build, scale = _builder(values, found, levels, scale)
    if np.shape(getattr(values, "values", values))[:1] < (FEWEST,):
        with_argument(build, values, "--data")
        raise InputError("--data", expected=f"at least {FEWEST} data", got=len(values), remedy="bring more data")
    if test is None:
        known, heldout = _split(values, max(2, round(heldout_share * len(values))), seed)
    else:
        known, heldout = values, test
    try:
        reference = with_argument(build, known, "--data")
        heldout = with_argument(
            partial(build, reference=reference), heldout, "--data" if test is None else "--test-data"
        )
    except InputError as error:
        if error.argument == "--test-data":
            raise
        with_argument(build, values, "--data")  # whole and in its own order, to name the place in the file
        got = f"{error.got}, once some data are held out"
        raise InputError(error.argument, expected=error.expected, got=got, remedy=error.remedy) from error
    order = np.random.default_rng([seed, 1]).permutation(len(known))
    num_validation = round(validation_share * len(known))
    validation, train = (reference.part(part) for part in (order[:num_validation], order[num_validation:]))
    return OwnData(
        train=train,
        validation=validation if num_validation else None,
        heldout=heldout,
        known=reference,
        kernel=found,
        scale=scale,
        digest=found_digest,
    )


def with_argument(build: Any, values: Any, argument: str) -> Dataset:
    """What `build` makes of values, its errors under the name that a user knows them by."""
    try:
        return build(values)
    except InputError as error:
        name = "--levels" if error.argument == "num_levels" else argument
        remedy = error.remedy.replace("(per_coordinate=False)", "with --scale pooled")
        remedy = remedy.replace("check num_levels, or use Dataset.from_continuous", "check --levels, or leave it out")
        raise InputError(name, expected=error.expected, got=error.got, remedy=remedy) from error


def _read(path: str | Path, argument: str, like: np.ndarray | Table | None = None) -> np.ndarray | Table:
    """The table or the array in a file; a table of the columns of `like`, where that is one."""
    path = Path(path)
    suffix = path.suffix.lower()
    is_table = suffix in SUFFIXES and (suffix != ".npz" or isinstance(like, Table) or len(archived(path)) != 1)
    if like is not None and is_table != isinstance(like, Table):
        expected = "a table of named columns" if isinstance(like, Table) else "an array in a .npy or .npz file"
        raise InputError(argument, expected=f"{expected}, as --data is", got=path, remedy="bring the same kind of file")
    try:
        if is_table:
            return Table.of_frame(read_frame(path), like=like if isinstance(like, Table) else None)
        name = archived(path)[0] if suffix == ".npz" else None
        return np.asanyarray(real_array(load_array(path, name), argument))
    except InputError as error:
        is_known = suffix in (".npy", *SUFFIXES)
        expected = error.expected if is_known else "a .npy, .npz, .csv or .parquet file"
        remedy = error.remedy if is_known else "check the name, or write the data into one of these"
        raise InputError(argument, expected=expected, got=error.got, remedy=remedy) from error


def _kernel_of(values: np.ndarray | Table) -> Kernel:
    if isinstance(values, Table) and any(column.kind == "category" for column in values.columns):
        return "gaussian"
    numbers = np.atleast_1d(values.values if isinstance(values, Table) else values)
    return "bernoulli" if all(((part == 0) | (part == 1)).all() for _, part in chunks(numbers)) else "gaussian"


def _builder(
    values: np.ndarray | Table, kernel: str, levels: int | None, scale: str | None
) -> tuple[Callable[..., Dataset], Scale | None]:
    """What makes a data set of such values, and how it scales them."""
    if scale not in (None, "columns", "pooled"):
        raise InputError("--scale", expected="columns or pooled", got=repr(scale), remedy="leave it out")
    if kernel == "bernoulli" and levels is not None:
        raise InputError("--levels", expected="none with bits", got=levels, remedy="use --kernel gaussian for levels")
    if levels is None and scale is None and kernel != "bernoulli" and _are_images(values):
        levels = BYTE_LEVELS
    if kernel == "categorical" and levels is None:
        raise InputError("--levels", expected="a number of levels", got="none", remedy="categorical data are 0, 1, ...")
    columns = values.columns if isinstance(values, Table) else None
    is_vector = isinstance(values, Table) or values.ndim == 2
    if kernel == "bernoulli" or levels is not None:
        if scale is not None:
            raise InputError("--scale", expected="none with bits or levels", got=scale, remedy="leave it out")
        if any(column.kind == "category" for column in columns or ()):
            raise InputError("--data", expected="numbers", got="categories", remedy="leave --kernel and --levels out")

        def of_numbers(values: Any, reference: Dataset | None = None) -> Dataset:
            numbers = values.values if isinstance(values, Table) else values
            if kernel == "bernoulli":
                found = Dataset.from_binary(numbers)
            else:
                whole, alike = kernel == "categorical", reference
                # The level network takes one shift and scale for all.
                found = Dataset.from_levels(numbers, levels, reference=alike, pooled_mean=True, dequantised=not whole)
            return replace(found, units=replace(found.units, columns=columns) if reference is None else reference.units)

        return of_numbers, None
    if columns is not None:
        if scale == "pooled":
            raise InputError("--scale", expected="columns with a table", got=scale, remedy="leave it out")
        return Dataset.from_table, "columns"
    scale = scale or ("columns" if is_vector else "pooled")
    return partial(Dataset.from_continuous, per_coordinate=scale == "columns"), scale


def _are_images(values: np.ndarray | Table) -> bool:
    """Whether they are of bytes and have rows and columns, as images do."""
    return isinstance(values, np.ndarray) and values.dtype == np.uint8 and values.ndim >= 3


def _split(values: np.ndarray | Table, num_heldout: int, seed: int) -> tuple[Any, Any]:
    if isinstance(values, Table):
        return tuple(values.part(part) for part in split(np.arange(len(values)), len(values) - num_heldout, seed))
    return split(values, len(values) - num_heldout, seed)


def _digest(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
