"""Names are imported on first use, and nobody sees a difference."""

import ast
import importlib
from pathlib import Path

import pytest

import dpm_ppl
from dpm_ppl import experiments
from dpm_ppl.models import own_data


@pytest.mark.parametrize("package", [dpm_ppl, experiments, own_data], ids=lambda package: package.__name__)
def test_every_name_of_a_stub_is_there(package):
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    lines = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    of_modules = {name.name for node in lines if node.module == package.__name__ for name in node.names}
    for node in lines:
        for name in node.names:
            assert name.asname == name.name  # without which type checkers take it for private
            whole = importlib.import_module(f"{node.module}.{name.name}" if name.name in of_modules else node.module)
            assert getattr(package, name.name) is (whole if name.name in of_modules else getattr(whole, name.name))
            assert name.name in dir(package)
            assert (name.name in package.__all__) == (name.name not in of_modules)


def test_a_star_imports_what_is_typed_every_day():
    names = {}
    exec("from dpm_ppl import *", names)
    assert names.keys() - {"__builtins__"} == set(dpm_ppl.__all__)


def test_a_name_that_is_not_there_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match="module 'dpm_ppl' has no attribute 'Difusion'") as refused:
        dpm_ppl.Difusion  # noqa: B018
    assert (refused.value.name, refused.value.obj) == ("Difusion", dpm_ppl)  # for "Did you mean: 'Diffusion'?"
    with pytest.raises(ImportError, match="cannot import name 'Difusion'"):
        exec("from dpm_ppl import Difusion", {})
