"""`save` and `load` of a `DataTree`, in a Zarr folder or a netCDF file: what is read equals what was written."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import check_folder_of, intact, replacing

STORES = {".zarr": ("zarr",), ".nc": ("h5netcdf", "h5py")}
"""The packages that write a file of this suffix."""


def save(tree: xr.DataTree, path: str | os.PathLike[str], *, replace: bool = False) -> None:
    """Write the tree to a new `.zarr` folder or `.nc` file, so that `load` gives back the same.

    Attributes come back as one of the formats keeps them: bits as 0 and 1, None as the text "None", NumPy's numbers,
    arrays and tuples as Python's numbers and lists, mixed numbers as floats, and a list of one as its item.

    **Arguments:** `replace`: put the tree in the place of one that is there.

    **Raises:** `InputError` for another suffix, a path that is taken or has no folder, a package that is missing, and
    what one of the formats would not keep: arrays other than numbers, bits and text; attributes other than those above,
    integers of more than 64 bits, and text with a NUL.
    """
    path = check_store(path)
    check_folder_of(path, "path")
    if path.exists() and not replace:
        raise InputError("path", expected="a new path", got=f"{path}, which exists", remedy="name another")
    tree = _as_kept(tree)
    if path.suffix == ".zarr":
        tree.to_zarr(path, mode="w" if replace else "w-", consolidated=False, zarr_format=3)
    else:
        with replacing(path) as file:
            file.write(tree.to_netcdf(engine="h5netcdf"))


def load(path: str | os.PathLike[str]) -> xr.DataTree:
    """The tree that `save` has written, all of it in memory.

    **Raises:** `InputError` where there is none, it is damaged, or a package is missing.
    """
    path = check_store(path)
    if not path.exists():
        raise InputError("path", expected="a tree written by save", got=f"nothing at {path}", remedy="name another")
    options = {"engine": "zarr", "consolidated": False} if path.suffix == ".zarr" else {"engine": "h5netcdf"}
    about = {"expected": f"a tree written by save in {path}", "remedy": "name another, or make it again"}
    # Whole numbers whose unit is seconds are to stay whole numbers.
    with intact("path", **about), xr.open_datatree(path, decode_times=False, **options) as opened:
        return _as_saved(opened.load())


def check_store(path: str | os.PathLike[str]) -> Path:
    """Raise `InputError` where no tree can be written to such a path; to be known before long work."""
    path = Path(path)
    one_of("path", path.suffix, STORES, "rename it")
    missing = [package for package in STORES[path.suffix] if find_spec(package) is None]
    if missing:
        raise InputError(
            "path",
            expected=f"{' and '.join(STORES[path.suffix])} for {path.suffix}",
            got=f"no {missing[0]}",
            remedy="pip install 'dpm-ppl[analysis]'",
        )
    return path


def _as_kept(tree: xr.DataTree) -> xr.DataTree:
    """With the attributes that both formats keep."""
    datasets = {}
    for node in tree.subtree:
        dataset = datasets[node.path] = node.to_dataset(inherit=False).copy()
        for name, variable in dataset.variables.items():
            where = f"{node.path}: {name}"
            if variable.dtype.kind not in "biufU":
                _refuse(where, "numbers, bits or text", f"dtype {variable.dtype}")
            if variable.dtype.kind == "U" and any("\0" in text for text in variable.values.flat):
                _refuse(where, "text without NUL", "a NUL")
            variable.attrs = {each: _kept(where, each, value) for each, value in variable.attrs.items()}
        dataset.attrs = {each: _kept(node.path, each, value) for each, value in dataset.attrs.items()}
    return xr.DataTree.from_dict(datasets, name=tree.name)


def _kept(where: str, name: Any, value: Any) -> Any:
    listed = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(listed, list | tuple):
        return _item(where, name, listed)
    items = [_item(where, name, item) for item in listed]
    if {type(item) for item in items} == {int, float}:
        items = [float(item) for item in items]
    if len({type(item) for item in items}) > 1:
        _refuse(f"{where}, attribute {name}", "a list of items of one kind", repr(value))
    return items[0] if len(items) == 1 else items


def _item(where: str, name: Any, item: Any) -> str | int | float:
    item = item.item() if isinstance(item, np.generic) else item
    if item is None or isinstance(item, bool):
        item = "None" if item is None else int(item)
    too_large = isinstance(item, int) and not -(2**63) <= item < 2**63
    if not isinstance(item, str | int | float) or too_large or (isinstance(item, str) and "\0" in item):
        _refuse(f"{where}, attribute {name}", "text without NUL, a 64-bit number or a list of these", repr(item)[:100])
    return item


def _refuse(argument: str, expected: str, got: str) -> NoReturn:
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
