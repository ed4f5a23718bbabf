"""The command line: `dpm-ppl list | fit | bounds | sample | report | compare | demo`.

Errors of use are one line and exit code 2.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import tyro

from dpm_ppl._errors import InputError, TrainingError
from dpm_ppl.commands._arguments import INTERRUPTED
from dpm_ppl.commands.bounds import bounds
from dpm_ppl.commands.compare import compare
from dpm_ppl.commands.fit import fit
from dpm_ppl.commands.report import report
from dpm_ppl.commands.sample import sample

app = tyro.extras.SubcommandApp()


@app.command(name="list")
def list_experiments(*, json: bool = False) -> None:
    """Describe the experiments and their options.

    Args:
        json: Print one JSON object.
    """
    from dpm_ppl.models import EXPERIMENTS
    from dpm_ppl.reporting import print_json
    from dpm_ppl.runs import flag, options_of

    described = {
        name: {"description": _first_line(function), "options": list(options_of(function))}
        for name, function in EXPERIMENTS.items()
    }
    if json:
        print_json(described)
        return
    for name, description in described.items():
        print(f"{name:10} {description['description']}\n{'':10} {' '.join(map(flag, description['options']))}")


for command in (fit, bounds, sample, report, compare):
    app.command(command)


@app.command
def demo(*, out: Path = Path("runs/demo"), json: bool = False) -> None:
    """Fit the digits and the swiss roll in small, print one table and write the pictures.

    Args:
        out: Directory for the two runs; what is there from an earlier demo is continued.
        json: Print one JSON object.
    """
    from dpm_ppl.demo import run_demo
    from dpm_ppl.reporting import print_json

    run_demo(out, print_json if json else None)


def main() -> None:
    """Entry point of `dpm-ppl`."""
    try:
        app.cli(prog="dpm-ppl", description="Diffusion probabilistic models as NumPyro programs.")
    except InputError as error:
        _fail(error, 2)
    except TrainingError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)


def _first_line(function: Callable) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]


def _fail(error: Exception | str, code: int) -> None:
    print(f"dpm-ppl: {error}", file=sys.stderr)
    raise SystemExit(code)
