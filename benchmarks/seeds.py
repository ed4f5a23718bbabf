"""Held-out figures of an experiment over several seeds, as rows of Markdown.

`python -m benchmarks.seeds swissroll --seeds 3 --num-particles 512 --num-points 200 -- --edge learned` fits
runs/swissroll-seed0 to runs/swissroll-seed2, what follows `--` being options of `dpm-ppl fit`. The same command again
goes on where it was stopped. A seed decides data, network and training, so the spread over seeds is that of all three.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from dpm_ppl.estimates import Estimate

DPM_PPL = (sys.executable, "-c", "from dpm_ppl.app.cli import main; main()")
Values = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Options:
    """Fit an experiment under several seeds, and print each run's figures, their mean and their spread."""

    experiment: Annotated[str, tyro.conf.Positional]
    """The experiment to fit; options of `dpm-ppl fit` follow after `--`."""
    seeds: int = 3
    """How many: 0, 1, ..."""
    num_particles: int | None = None
    """Importance-weighted figures too, from so many particles per datum."""
    num_points: int | None = None
    """Held-out data that they look at."""
    out: Path | None = None
    """Run directories are OUT-seed0, ...; runs/EXPERIMENT-seed0, ... if not given."""


def main(options: Options, of_fit: Sequence[str]) -> None:
    out = options.out or Path("runs") / options.experiment
    figures = [figures_of(options, Path(f"{out}-seed{seed}"), seed, of_fit) for seed in range(options.seeds)]
    print(table(figures))


def figures_of(options: Options, path: Path, seed: int, of_fit: Sequence[str]) -> Values:
    """The figures of one seed, `{"mean", "se"}` by name, fitted or gone on with where it must be."""
    begun = (path / "run.json").exists()
    arguments = ["fit", options.experiment, "--out", path, "--seed", seed, *of_fit, *(["--resume"] if begun else [])]
    printed = dpm_ppl(*arguments)
    if options.num_particles is not None:
        points = [] if options.num_points is None else ["--num-points", options.num_points]
        printed |= dpm_ppl("bounds", path, "--num-particles", options.num_particles, *points)
    return chosen(printed)


def chosen(printed: dict[str, Any]) -> Values:
    """K, exact value and gap of what `--json` prints, in bits/dim where the data have levels; and by weights."""
    in_dims = printed["bits_per_dim"] is not None
    unit = "bits/dim" if in_dims else printed["unit"]
    figures = {
        f"K, {unit}": printed["bits_per_dim" if in_dims else "K"],
        "exact": printed["exact"],
        "gap": printed["gap"],
    }
    if ladder := printed.get("importance_weighted"):
        last, size = ladder[-1], ladder[-1]["num_particles"]
        figures[f"S = {size:,}"] = printed["importance_weighted_bits_per_dim"] if in_dims else last
        figures[f"gap, S = {size:,}"] = last["gap"]
    return {name: figure for name, figure in figures.items() if figure is not None}


def table(figures: Sequence[Values]) -> str:
    """A row for each seed, each figure with its standard error over held-out data; then mean and spread over seeds."""
    names = list(figures[0])
    means = np.array([[one[name]["mean"] for name in names] for one in figures], float)
    spread = means.std(axis=0, ddof=1) if len(figures) > 1 else np.full(len(names), np.nan)
    rows = [[str(seed), *(rounded(**one[name]) for name in names)] for seed, one in enumerate(figures)]
    rows.append(["mean ± spread", *map(rounded, means.mean(axis=0), spread)])
    lines = [["seed", *names], ["---"] * (1 + len(names)), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rounded(mean: float | None, se: float | None, **_: Any) -> str:
    return Estimate(*(float("nan") if value is None else value for value in (mean, se)), 1).plus_minus()


def dpm_ppl(*arguments: object) -> dict[str, Any]:
    """What a command prints as JSON, in a process of its own; a failure ends this one too."""
    done = subprocess.run([*DPM_PPL, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


if __name__ == "__main__":
    words = [*sys.argv[1:], "--"]
    end = words.index("--")
    main(tyro.cli(Options, args=words[:end]), words[end + 1 : -1])
