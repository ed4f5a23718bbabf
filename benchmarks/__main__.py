"""Takes all measurements and prints them beside their targets; exit code 1 where one does not hold."""

import json
import os
import sys
from dataclasses import asdict, dataclass

import jax
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks import (
    bound_memory,
    call_memory,
    compilations,
    convolutions,
    fit_overhead,
    guide_update,
    image_memory,
    importance_weights,
    posterior_cost,
    step_scaling,
)
from benchmarks.measurement import Measurement


@dataclass(frozen=True)
class Options:
    """Timings, memory and compilations of dpm_ppl, from one run."""

    json: bool = False
    """Print one JSON object instead of the table."""


def main(options: Options) -> int:
    taken: list[Measurement] = []
    for module in (
        fit_overhead,
        convolutions,
        step_scaling,
        bound_memory,
        call_memory,
        image_memory,
        importance_weights,
        posterior_cost,
        guide_update,
        compilations,
    ):
        print(f"{module.__name__} ...", file=sys.stderr, flush=True)
        taken += module.measure()
    kind = jax.devices()[0].device_kind
    on_cpu = jax.default_backend() == "cpu"
    device = f"{kind}, {os.cpu_count()} cores" if on_cpu else kind
    gpu = "not measured" if on_cpu else kind
    if options.json:
        rows = [asdict(measurement) | {"holds": measurement.holds} for measurement in taken]
        print(json.dumps({"device": device, "gpu": gpu, "measurements": rows}))
    else:
        _print_table(taken, device, gpu)
    return 0 if all(measurement.holds for measurement in taken) else 1


def _print_table(taken: list[Measurement], device: str, gpu: str) -> None:
    table = Table(title=f"device: {device}")
    for column in ("measurement", "figure", "target", "holds", "detail"):
        table.add_column(column, justify="right" if column in ("figure", "target") else "left")
    for measurement in taken:
        figure, target = f"{measurement.figure:.4g}", f"≤ {measurement.target:g}"
        table.add_row(measurement.name, figure, target, "yes" if measurement.holds else "NO", measurement.detail)
    table.add_row("GPU", gpu, "", "", "")
    Console(width=None if sys.stdout.isatty() else 180).print(table)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
