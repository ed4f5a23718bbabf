"""Imports go one way, room by room: a room knows the rooms below it, and no other."""

import ast
import glob
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up; rooms of one level do not know each other. `dpm_ppl` is the package itself, the curated names.
LEVELS = (
    {"_common"},
    {"estimates", "schedules", "smc"},
    {"data", "kernels", "networks"},
    {"methods"},
    {"diffusion"},
    {"likelihood", "objectives", "training"},
    {"evaluation", "experiments", "guides", "posterior"},
    {"dpm_ppl"},
    {"analysis", "models"},
    {"app"},
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
MOST_FILES, MOST_LINES, MOST_MEDIAN = 12, 300, 110


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; `glob` follows the links to models/ and analysis/."""
    files = sorted(glob.glob("dpm_ppl/**/*.py", root_dir=ROOT, recursive=True))
    return {".".join(Path(file).with_suffix("").parts).removesuffix(".__init__"): ROOT / file for file in files}


def source_of(path: Path) -> str:
    """A module as it stands, and what its stub says is imported on first use."""
    stub = path.with_suffix(".pyi")
    return path.read_text() + (stub.read_text() if stub.exists() else "")


def room(module: str) -> str:
    """The folder of the package where a module is."""
    head, *rest = module.split(".")
    return rest[0] if rest else head


def imported(source: str, known: set[str]) -> set[str]:
    """The modules of the package that a source file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & known
            names |= inside if len(inside) == len(node.names) else inside | {str(node.module)}
    return {name for name in names if name.split(".")[0] == "dpm_ppl"}


def violations(module: str, source: str, known: set[str]) -> list[str]:
    own = room(module)
    others = [name for name in imported(source, known) if room(name) != own]
    return sorted(name for name in others if LEVEL[room(name)] >= LEVEL[own])


def without_type_checking(source: str) -> str:
    """The source but what only type checkers read."""
    tree = ast.parse(source)
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return ast.unparse(tree)


@pytest.mark.parametrize("module", modules())
def test_imports_go_down(module):
    assert violations(module, source_of(modules()[module]), set(modules())) == []


def test_no_module_knows_one_that_knows_it():
    known = modules()
    below = {name: imported(without_type_checking(source_of(path)), set(known)) for name, path in known.items()}
    below = {name: {one for one in ones if one in known and one != name} for name, ones in below.items()}
    while free := {name for name, ones in below.items() if not ones & below.keys()}:
        below = {name: ones for name, ones in below.items() if name not in free}
    assert below == {}


def test_rooms_are_small_and_files_are_short():
    sizes = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    folders: dict[Path, int] = {}
    for path in modules().values():
        folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {folder.name: num for folder, num in folders.items() if num > MOST_FILES} == {}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES} == {}
    assert sorted(sizes.values())[len(sizes) // 2] <= MOST_MEDIAN


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("dpm_ppl.kernels.gaussian", "from dpm_ppl.schedules.steps import Step", []),
        ("dpm_ppl.kernels.gaussian", "from dpm_ppl.kernels.base import AbstractKernel", []),
        ("dpm_ppl.kernels.gaussian", "from dpm_ppl.networks import MLP", ["dpm_ppl.networks"]),
        ("dpm_ppl.kernels.gaussian", "def f():\n    import dpm_ppl.diffusion.chains", ["dpm_ppl.diffusion.chains"]),
        ("dpm_ppl.schedules.steps", "from dpm_ppl import Diffusion", ["dpm_ppl"]),
        ("dpm_ppl.schedules.steps", "from dpm_ppl import kernels", ["dpm_ppl.kernels"]),
        ("dpm_ppl.models.digits", "from dpm_ppl import Diffusion, schedules", []),
        ("dpm_ppl.analysis.plots.chain", "from dpm_ppl.models import digits", ["dpm_ppl.models"]),
        ("dpm_ppl.app.cli", "from dpm_ppl import models, analysis", []),
    ],
)
def test_the_guard_itself(module, source, expected):
    known = {"dpm_ppl.schedules", "dpm_ppl.models", "dpm_ppl.analysis", "dpm_ppl.kernels", "dpm_ppl.networks"}
    assert violations(module, source, known) == expected
