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
    assert names == sources(source) | page | {"dpm_ppl/py.typed"}


def test_import_is_light():
    heavy = ("arviz", "matplotlib", "sklearn", "tyro", "dpm_ppl.models", "dpm_ppl.analysis", "dpm_ppl.app.cli")
    program = f"import sys, dpm_ppl; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
