"""The code of a page of the documentation runs from top to bottom, and what it says of the command line is so."""

import ast
import contextlib
import inspect
import io
import operator
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dpm_ppl as dpm
from dpm_ppl.app import cli
from dpm_ppl.experiments.options import flag
from dpm_ppl.models import EXPERIMENTS

DOCS = Path(__file__).parents[1] / "docs"
COMMAND_LINE = DOCS / "command-line.md"
PAGES = sorted(DOCS.glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


PROGRAMS = [page for page in PAGES if blocks(page, "python")]
COMMANDS = [COMMAND_LINE, DOCS / "own-data.md"]  # the other pages' take too long


def with_outputs(page: Path) -> list[tuple[str, str]]:
    """The Python blocks of a page, each with the output that is shown below it, or none."""
    shown = r"^```python\n(.*?)^```(?:\n+```text\n(.*?)^```)?"
    return re.findall(shown, page.read_text(), flags=re.DOTALL | re.MULTILINE)


def without_numbers(text: str) -> str:
    """Figures differ between machines in their last digits, and verdicts on the edge with them."""
    text = re.sub(r"reliable|doubtful", "VERDICT", text)
    text = re.sub(r"-?[\d.,]+", "#", text)
    return re.sub(r" *(\n|\])", r"\1", re.sub(r" +", " ", text)).strip()


@pytest.mark.slow
@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.stem)
def test_every_block_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, everything = {}, ""
    for code, shown in with_outputs(page):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, page.name, "exec"), names)
        everything += out.getvalue()
        if out.getvalue():
            assert without_numbers(out.getvalue()) == without_numbers(shown)
    assert "±" in everything or not everything
    assert not re.search(r"^[A-Z_]+$", page.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.stem)
def test_names_in_examples_exist(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dpm_ppl"):
                exec(ast.unparse(node), {})
        for names in re.findall(r"\bdpm((?:\.\w+)+)", code):
            operator.attrgetter(names[1:])(dpm)


@pytest.mark.slow
@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.stem)
def test_the_commands_run(page, tmp_path):
    script = "".join(blocks(page, "sh"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True)
    assert list(tmp_path.glob("runs/*/samples.*"))


def sections() -> dict[str, str]:
    """What the page says of each command."""
    _, *parts = re.split(r"^## `dpm-ppl (\w+)`\n", COMMAND_LINE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def options(command: str) -> set[str]:
    """The command's own, which those of the experiments come on top of."""
    function = cli.list_experiments if command == "list" else getattr(cli, command)
    parameters = inspect.signature(function).parameters.values()
    return {flag(one.name) for one in parameters if one.kind is one.KEYWORD_ONLY} - {"--options"}


def with_those_of_experiments(command: str) -> set[str]:
    taken = command in ("fit", "compare")
    return options(command) | {one.flag for kind in EXPERIMENTS.values() if taken for one in kind.all()}


@pytest.mark.parametrize("command", sections())
def test_a_section_names_all_options_of_its_command(command):
    named = set(re.findall(r"`(--[a-z0-9-]+)`", sections()[command]))
    assert options(command) <= named <= with_those_of_experiments(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_in_examples_exist(page):
    commands = r"dpm-ppl (fit|bounds|sample|demo|list|report|compare|paper)\b([^`\n]*)"
    for command, rest in re.findall(commands, page.read_text()):
        assert set(re.findall(r"--[a-z-]+", rest)) <= with_those_of_experiments(command) | {"--help"}
