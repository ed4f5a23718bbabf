"""`dpm-ppl` called in this process, because a process of its own spends seconds on importing jax."""

import contextlib
import io
import json
import sys
from typing import Any, NamedTuple
from unittest import mock

from dpm_ppl.app.cli import main


class Called(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout, as a strict reader takes it."""
        return json.loads(self.out, parse_constant=_refuse)


def call(*arguments: object) -> Called:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    argv = ["dpm-ppl", *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return Called(code, out.getvalue(), err.getvalue())


def call_well(*arguments: object) -> Called:
    called = call(*arguments)
    assert called.code == 0, called.err
    return called


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
