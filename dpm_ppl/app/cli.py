"""The command line: `dpm-ppl list | fit | bounds | sample | posterior | report | compare | posteriors | paper | demo`.

Errors of use are one line and exit code 2; of training, of files and of the system, code 1; a signal is 128 and its
number.
"""

import contextlib
import inspect
import signal
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

import tyro

from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl._common.interruption import ends_by_exception
from dpm_ppl.app.commands._options import experiment_in, flag_value, with_memory, with_options
from dpm_ppl.app.commands._output import close_output, plain_output, print_json, spoken, spoken_failure
from dpm_ppl.app.commands.bounds import bounds
from dpm_ppl.app.commands.compare import compare
from dpm_ppl.app.commands.fit import fit
from dpm_ppl.app.commands.paper import paper
from dpm_ppl.app.commands.posterior import posterior
from dpm_ppl.app.commands.posteriors import posteriors
from dpm_ppl.app.commands.report import report
from dpm_ppl.app.commands.sample import sample
from dpm_ppl.experiments.options import Option, flag

ABOUT = "Diffusion probabilistic models as NumPyro programs. `dpm-ppl --version` prints the version."
BROKEN_PIPE = 128 + 13
"""Exit code; the signal has no name on every system."""


def list_experiments(*, json: bool = False) -> None:
    """Describe the experiments and their options.

    Args:
        json: Print one JSON object.
    """
    from dpm_ppl.models import EXPERIMENTS

    described = {
        name: {"description": _first_paragraph(options), "options": [option.name for option in options.all()]}
        for name, options in EXPERIMENTS.items()
    }
    if json:
        print_json(described)
        return
    for name, about in described.items():
        options = "options: " + " ".join(map(flag, about["options"]))
        wrapped = (wrap(part, width=79, break_on_hyphens=False) for part in (about["description"], options))
        print(f"{name}\n{indent('\n'.join(chain(*wrapped)), '    ')}")


def demo(*, out: Path = Path("runs/demo"), json: bool = False) -> None:
    """Fit the digits and the swiss roll in small, print one table and write the pictures.

    Args:
        out: Directory for the two runs; what is there from an earlier demo is continued.
        json: Print one JSON object.
    """
    from dpm_ppl.app.demo import run_demo

    run_demo(out, print_json if json else None)


COMMANDS = {
    command.__name__: with_memory(command)
    for command in (fit, bounds, sample, posterior, report, compare, posteriors, paper, demo)
}


def main() -> None:
    """Entry point of `dpm-ppl`."""
    commands = dict(COMMANDS)
    try:
        with ends_by_exception(), plain_output():
            commands |= _with_options(sys.argv[1:])
            _run(commands)
    except InputError as error:
        _fail(spoken(error, commands.get(_command())), 2)
    except TrainingError as error:
        _fail(spoken_failure(error), 1)
    except KeyboardInterrupt as stop:
        again = " with --resume" if _command() == "fit" and "--resume" not in sys.argv else ""
        on = "begins anew" if _command() == "sample" else "goes on from here"
        _fail(f"interrupted; the same command{again} {on}", 128 + getattr(stop, "number", signal.SIGINT))
    except BrokenPipeError:  # who read the output has seen enough
        close_output()
        raise SystemExit(BROKEN_PIPE) from None
    except OSError as error:
        _fail(f"{error}; what was saved before is still whole", 1)


def _run(commands: Mapping[str, Callable[..., None]]) -> None:
    try:
        if sys.argv[1:] == ["--version"]:
            print(f"dpm-ppl {version('dpm-ppl')}")
        else:
            app = tyro.extras.SubcommandApp()
            app.command(name="list")(list_experiments)
            for name, command in commands.items():
                app.command(name=name)(command)
            app.cli(prog="dpm-ppl", description=ABOUT)
    except SystemExit:  # as after --help
        sys.stdout.flush()
        raise
    sys.stdout.flush()


def _with_options(words: list[str]) -> dict[str, Callable[..., None]]:
    """The commands, of which `fit` and `compare` have the options of the experiment that the words name."""
    called = _command()
    takes_options = called in ("fit", "compare")
    return {
        name: with_options(command, _options(name, words) if name == called and takes_options else ())
        for name, command in COMMANDS.items()
    }


def _options(command: str, words: list[str]) -> list[Option]:
    """All options of the experiment that is to be fitted; those of its data where methods are compared on them."""
    from dpm_ppl.models import EXPERIMENTS

    name = experiment_in(words[1:], EXPERIMENTS) if command == "fit" else flag_value(words, "--experiment")
    if name is None or (name not in EXPERIMENTS and {"-h", "--help"} & set(words)):
        return []
    if name not in EXPERIMENTS:
        from dpm_ppl.experiments import declare

        declare(EXPERIMENTS, name, {})  # which refuses the name
    known = EXPERIMENTS[name].all()
    taken = [option for option in known if command == "fit" or not (option.of_diffusion or option.name == "method")]
    others = {option.flag for options in EXPERIMENTS.values() for option in options.all()}
    own = {option.flag for option in taken} | {flag(one) for one in inspect.signature(COMMANDS[command]).parameters}
    if strange := next((word for word in words if word.partition("=")[0] in others - own), None):
        raise InputError(
            strange.partition("=")[0],
            expected=f"an option of {name} ({', '.join(option.flag for option in taken)})",
            got="one it does not have",
            remedy="leave it out, or choose another experiment",
        )
    return taken


def _command() -> str:
    return next(iter(sys.argv[1:]), "")


def _first_paragraph(described: Any) -> str:
    return " ".join((described.__doc__ or "").partition("\n\n")[0].split())


def _fail(error: str, code: int) -> None:
    with contextlib.suppress(OSError):  # the terminal may be what has gone
        print(f"dpm-ppl: {error}", file=sys.stderr)
    raise SystemExit(code)
