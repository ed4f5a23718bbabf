"""A `DataTree` in a Zarr folder or a netCDF file, and back the same: dtypes, coordinates, attributes, NaN."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from dpm_ppl._errors import InputError
from dpm_ppl._files import replacing

STORES = {".zarr": ("zarr",), ".nc": ("h5netcdf", "h5py")}
"""The packages that write a file of this suffix."""


def save(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write the tree to a new `.zarr` folder or `.nc` file, so that `load` gives back the same.

    **Raises:** `InputError` for another suffix, a path that is taken or has no folder, a package that is missing, and
    what one of the formats would not keep: arrays other than numbers, bits and text; attributes other than text,
    numbers, and lists of two or more of them.
    """
    path = _checked_path(path)
    if path.exists() or not path.parent.is_dir():
        got = f"{path}, which exists" if path.exists() else f"no folder {path.parent}"
        raise InputError("path", expected="a new path in a folder", got=got, remedy="name another")
    for node in tree.subtree:
        for name, variable in node.variables.items():
            if variable.dtype.kind not in "biufU":
                _refuse(f"{node.path}: {name}", "numbers, bits or text", f"dtype {variable.dtype}")
            _check_attributes(f"{node.path}: {name}", variable.attrs)
        _check_attributes(node.path, node.attrs)
    if path.suffix == ".zarr":
        tree.to_zarr(path, mode="w-", consolidated=False, zarr_format=3)
    else:
        with replacing(path) as file:
            file.write(tree.to_netcdf(engine="h5netcdf"))


def load(path: str | os.PathLike[str]) -> xr.DataTree:
    """The tree that `save` has written, all of it in memory.

    **Raises:** `InputError` where there is none, it is damaged, or a package is missing.
    """
    path = _checked_path(path)
    if not path.exists():
        raise InputError("path", expected="a tree written by save", got=f"nothing at {path}", remedy="name another")
    options = {"engine": "zarr", "consolidated": False} if path.suffix == ".zarr" else {"engine": "h5netcdf"}
    try:
        # Whole numbers whose unit is seconds are to stay whole numbers.
        with xr.open_datatree(path, decode_times=False, **options) as opened:
            return _as_saved(opened.load())
    except Exception as failure:  # damaged files fail in many ways, all of which mean the same
        raise InputError(
            "path",
            expected="a tree written by save",
            got=f"a damaged or foreign {path} ({type(failure).__name__})",
            remedy="name another, or make it again",
        ) from failure


def _checked_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix not in STORES:
        raise InputError("path", expected="a name that ends in .zarr or .nc", got=path.name, remedy="rename it")
    missing = [package for package in STORES[path.suffix] if find_spec(package) is None]
    if missing:
        raise InputError(
            "path",
            expected=f"{' and '.join(STORES[path.suffix])} for {path.suffix}",
            got=f"no {missing[0]}",
            remedy="pip install 'dpm-ppl[analysis]'",
        )
    return path


def _check_attributes(argument: str, attrs: Mapping[Any, Any]) -> None:
    for name, value in attrs.items():
        listed = isinstance(value, list) and len(value) > 1 and len({type(item) for item in value}) == 1
        if not all(type(item) in (str, int, float) for item in (value if listed else [value])):
            _refuse(f"{argument}, attribute {name}", "text, a number or a list of two or more of one kind", repr(value))


def _refuse(argument: str, expected: str, got: str) -> None:
    raise InputError(argument, expected=expected, got=got, remedy="convert it, or leave it out")


def _as_saved(tree: xr.DataTree) -> xr.DataTree:
    """Without what the file says of itself, and attributes of Python's own types, which netCDF makes NumPy's."""
    datasets = {node.path: node.to_dataset(inherit=False).drop_encoding() for node in tree.subtree}
    for dataset in datasets.values():
        for holder in (dataset, *dataset.variables.values()):
            holder.attrs = {
                name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
                for name, value in holder.attrs.items()
            }
    return xr.DataTree.from_dict(datasets, name=tree.name)
