"""Packages whose names are imported on first use (PEP 562, SPEC 1), each from where its stub says that it is.

So to import such a package costs nothing. The stub, `__init__.pyi`, is the one list of the names, and what type
checkers, editors and the documentation read. `EAGER_IMPORT=1` in the environment imports them all at once.
"""

import ast
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def attach_stub(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of the package whose `__name__` and `__file__` these are.

    `__all__` has all names of the stub but those of modules.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    place = {alias.name: str(node.module) for node in imports for alias in node.names}

    def get(name: str) -> Any:
        if name not in place:
            itself = sys.modules[package]
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=itself)
        is_module = place[name] == package
        value = import_module(f"{package}.{name}") if is_module else getattr(import_module(place[name]), name)
        vars(sys.modules[package])[name] = value  # from now on found without this function
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *place})

    if os.environ.get("EAGER_IMPORT", "0") not in ("", "0"):
        for name in place:
            get(name)
    return get, names, [name for name, module in place.items() if module != package]
