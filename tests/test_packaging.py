"""What is installed is what stands in the folders, and importing it is light."""

import glob
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
LINKS = ("models", "analysis")


def sources(root: Path) -> set[str]:
    """The package's Python files; `glob` follows the links to models/ and analysis/."""
    return set(glob.glob("dpm_ppl/**/*.py", root_dir=root, recursive=True))


def stubs(root: Path) -> set[str]:
    """Those that say what is imported on first use, and from where."""
    return set(glob.glob("dpm_ppl/**/*.pyi", root_dir=root, recursive=True))


def test_package_list_equals_the_folders():
    folders = {str(Path(file).parent) for file in sources(ROOT)}
    assert sorted(SETUPTOOLS["packages"]) == sorted(folder.replace("/", ".") for folder in folders)
    assert [folder for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", LINKS)
def test_mapped_folder_is_a_relative_link(name):
    link = ROOT / "dpm_ppl" / name
    assert os.readlink(link) == f"../{name}"
    assert link.resolve() == (ROOT / SETUPTOOLS["package-dir"][f"dpm_ppl.{name}"]).resolve()


def test_wheel_holds_the_package_and_nothing_else(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("dpm_ppl", *LINKS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    page = {"dpm_ppl/analysis/page/page.css", "dpm_ppl/analysis/page/page.html.j2"}
    assert names == sources(source) | stubs(source) | page | {"dpm_ppl/py.typed"}


def modules_after(program: str, **environment: str) -> set[str]:
    """What a Python of its own has imported when the program has run."""
    program = f"import sys\n{program}\nprint(*sys.modules, file=sys.stderr)"
    command, environment = [sys.executable, "-c", program], {**os.environ, **environment}
    return set(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stderr.split())


def test_all_names_are_light():
    heavy = {"arviz", "matplotlib", "sklearn", "tyro", "dpm_ppl.models", "dpm_ppl.analysis", "dpm_ppl.app.cli"}
    loaded = modules_after("import dpm_ppl", EAGER_IMPORT="1")
    assert "dpm_ppl.likelihood.flow" in loaded
    assert loaded & heavy == set()


def test_import_loads_nothing():
    loaded = modules_after("import dpm_ppl")
    assert {name for name in loaded if name.startswith("dpm_ppl.")} == {"dpm_ppl._common", "dpm_ppl._common.lazy"}


@pytest.mark.parametrize("words", ["list --json", "fit array --help", "--version"])
def test_the_command_line_answers_without_jax(words):
    """So that it answers at once."""
    program = "from dpm_ppl.app import cli\ntry:\n    cli.main()\nexcept SystemExit:\n    pass"
    loaded = modules_after(f"sys.argv[1:] = {words.split()}\n{program}")
    assert "dpm_ppl.app.cli" in loaded
    assert loaded & {"jax", "equinox", "numpyro", "optax", "scipy", "pandas", "matplotlib"} == set()
