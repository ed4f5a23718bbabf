"""Imports go one way: what a layer may know stands before it."""

import ast
import glob
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each layer may import the layers before it; members of one layer do not know each other.
# `dpm_ppl` is the package itself, the curated names: what stands before it must not reach for them.
LAYERS = (
    {"_errors", "_types"},
    {"_inputs"},
    {
        "_batches",
        "_chunks",
        "_divergences",
        "_entries",
        "_files",
        "_interruption",
        "_lattice",
        "_progress",
        "_rows",
        "_sums",
        "_widening",
        "_wording",
        "steps",
    },
    {"_sites"},
    {"_pushforward", "_refusals"},
    {"kernels", "networks", "schedules"},
    {"diffusion"},
    {"chains", "step_sampling", "terms"},
    {"_chain_sites"},
    {"programs"},
    {"_checks"},
    {"bounds", "estimates", "importance_objectives", "objectives"},
    {"likelihood", "subsets"},
    {"columns"},
    {"frames", "units"},
    {"data"},
    {"remarks"},
    {"checkpoint", "updates"},
    {"resuming"},
    {"training"},
    {"kept_scores"},
    {"scores"},
    {"importance_scores"},
    {"measured"},
    {"experiment"},
    {"declaring"},
    {"directories"},
    {"runs"},
    {"weighing"},
    {"dpm_ppl"},
    {"analysis", "models"},
    {"tables"},
    {"reporting"},
    {"pictures"},
    {"demo"},
    {"comparing"},
    {"page_figures", "page_settings", "page_terms", "results"},
    {"pages"},
    {"writing"},
    {"commands"},
    {"cli"},
)
RANK = {unit: rank for rank, layer in enumerate(LAYERS) for unit in layer}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; `glob` follows the links to models/ and analysis/."""
    files = sorted(glob.glob("dpm_ppl/**/*.py", root_dir=ROOT, recursive=True))
    return {".".join(Path(file).with_suffix("").parts).removesuffix(".__init__"): ROOT / file for file in files}


def unit(module: str) -> str:
    """The member of LAYERS that a module belongs to."""
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
    own = unit(module)
    others = [name for name in imported(source, known) if unit(name) != own]
    return sorted(name for name in others if RANK.get(unit(name), 0) >= RANK[own])


@pytest.mark.parametrize("module", modules())
def test_imports_go_one_way(module):
    assert unit(module) in RANK, f"give {unit(module)} its place in LAYERS"
    assert violations(module, modules()[module].read_text(), set(modules())) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("dpm_ppl.kernels.gaussian", "from dpm_ppl.steps import Step", []),
        ("dpm_ppl.kernels.gaussian", "from dpm_ppl.kernels.base import AbstractKernel", []),
        ("dpm_ppl.kernels.gaussian", "from dpm_ppl.schedules import Linear", ["dpm_ppl.schedules"]),
        ("dpm_ppl.kernels.gaussian", "def f():\n    import dpm_ppl.chains", ["dpm_ppl.chains"]),
        ("dpm_ppl.steps", "from dpm_ppl import Diffusion", ["dpm_ppl"]),
        ("dpm_ppl.steps", "from dpm_ppl import schedules", ["dpm_ppl.schedules"]),
        ("dpm_ppl.models.digits", "from dpm_ppl import Diffusion, schedules", []),
        ("dpm_ppl.analysis.plots", "from dpm_ppl.models import digits", ["dpm_ppl.models"]),
        ("dpm_ppl.cli", "from dpm_ppl import models, analysis", []),
    ],
)
def test_the_guard_itself(module, source, expected):
    known = {"dpm_ppl.schedules", "dpm_ppl.models", "dpm_ppl.analysis"}
    assert violations(module, source, known) == expected
