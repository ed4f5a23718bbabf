"""Prints the table; exit code 1 where a figure covers less than it should."""

import sys
import zlib
from dataclasses import dataclass

import numpy as np
import tyro

from benchmarks.coverage import datasets, per_datum, two_samples
from benchmarks.coverage.row import Row

HEADINGS = ["regime", "figure", "coverage", "repetitions", "called reliable"]


@dataclass(frozen=True)
class Options:
    """Share of nominal 95 percent intervals that hold the truth, for every error that the library prints."""

    quick: bool = False
    """400 repetitions of each instead of 2,000 (of what is slow, 500)."""
    only: str = ""
    """Only the measures whose name contains this."""


def main(options: Options) -> int:
    repetitions = 400 if options.quick else 2000
    _print(HEADINGS)
    print("| --- | --- | ---: | ---: | ---: |")
    rows: list[Row] = []
    for measure in (*datasets.MEASURES, *two_samples.MEASURES, *per_datum.MEASURES):
        if options.only not in measure.__name__:
            continue
        # Seeded by its name, so that a new measure leaves the figures of the others as they are.
        for row in measure(repetitions, np.random.default_rng(zlib.crc32(measure.__name__.encode()))):
            rows.append(row)
            _print(row.cells())
    failing = [row for row in rows if not row.holds]
    for row in failing:
        print(f"{row.regime}, {row.figure}: {row.coverage:.3f} is below {row.least}", file=sys.stderr)
    return int(bool(failing))


def _print(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
