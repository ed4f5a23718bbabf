"""What `dpm-ppl posterior` prints: a table, or one JSON object, and loudly what is not reliable."""

import re
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console

from dpm_ppl.app.commands._output import print_json
from dpm_ppl.estimates.standard_errors import finite_or_none
from dpm_ppl.posterior import Posterior

if TYPE_CHECKING:
    from dpm_ppl.app.pages.posterior import Written

FLAGS = {
    "num_particles": "--num-particles",
    "num_runs": "--num-runs",
    "num_sweeps": "--num-draws",
    "num_samples": "--num-draws",
}
"""Options for the arguments that a method's advice names."""


def print_posteriors(written: "Written", json: bool) -> None:
    """The figures on standard output, doubts on the error stream."""
    for line in written.doubts():
        print(f"dpm-ppl: {_spoken(line)}", file=sys.stderr)
    if json:
        print_json(_as_json(written))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(written.table().rich())
    for name, file in written.files.items():
        print(f"{name}: {file}")


def _as_json(written: "Written") -> dict[str, Any]:
    settings = {name.replace(" ", "_"): value for name, value in written.asked.settings.items()}
    files = {name: str(file) for name, file in written.files.items()}
    return {
        **settings,
        **files,
        "interrupted": written.interrupted,
        "posteriors": [_figures(one) for one in written.posteriors],
    }


def _figures(one: Posterior) -> dict[str, Any]:
    evidence = one.log_evidence
    return {
        "log_evidence": None if evidence is None else finite_or_none(float(evidence.mean)),
        "log_evidence_se": None if evidence is None else finite_or_none(float(evidence.se)),
        "effective_draws": finite_or_none(one.ess),
        "num_draws": len(one.draws),
        "verdict": one.verdict,
        "notices": [_spoken(notice) for notice in one.notices],
    }


def _spoken(notice: str) -> str:
    return re.sub(r"\b(num_particles|num_runs|num_sweeps|num_samples)\b", lambda found: FLAGS[found[0]], notice)
