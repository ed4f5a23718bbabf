"""`dpm-ppl compare`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from dpm_ppl._common.errors import InputError
from dpm_ppl.app.commands._arguments import Whole, WholeOrNone
from dpm_ppl.app.commands._options import as_text
from dpm_ppl.app.commands._output import print_json


def compare(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    *,
    experiment: str | None = None,
    methods: tuple[str, ...] = (),
    data: Path | None = None,
    updates: WholeOrNone = None,
    seed: WholeOrNone = None,
    num_particles: Whole = 512,
    num_points: WholeOrNone = None,
    num_heldout: WholeOrNone = None,
    sandwich: bool = False,
    out: Path | None = None,
    json: bool = False,
    options: Mapping[str, Any],
) -> None:
    """Compare runs on the same data: one table, paired differences, verdicts, and a page.

    `dpm-ppl compare --experiment EXPERIMENT --help` shows the options of its data too.

    With --experiment, the methods that the runs do not have are fitted first, each in its directory below OUT; the
    same command again goes on where it was stopped.

    Args:
        runs: Run directories.
        experiment: Fit the other methods on the data of digits, swissroll, heartbeat or array.
        methods: Which ones; all that can model such data if not given.
        data: The file of "array"; of runs, where it is now.
        updates: Updates of each fit; each method's own number if not given.
        seed: Seed of the fits and their data; that of the runs if not given, or 0.
        num_particles: Particles per datum; what earlier calls have drawn is used again.
        num_points: Held-out data that they look at; 100 if not given.
        num_heldout: Held-out data that K looks at; all if not given.
        sandwich: Bounds from both sides on data simulated from each model too.
        out: Directory of the page compare.html and of the fits; runs/compare-RUN, by the first run, if not given,
            or by the data where there is none.
        json: Print one JSON object.
        options: Those of the experiment's data that were given.
    """
    from dpm_ppl.app.console.reporting import print_tables
    from dpm_ppl.app.pages.writing import write_comparison
    from dpm_ppl.experiments.options import check_range

    given = as_text(options)
    for flag, number in (("--num-particles", num_particles), ("--num-points", num_points), ("--updates", updates)):
        if number is not None:
            check_range(flag, number, 1)
    if experiment is None and (methods or given or updates is not None or seed is not None):
        raise InputError(
            "--experiment",
            expected="an experiment, which --methods, --updates, --seed and options of data need",
            got="none",
            remedy="name one, or leave them out",
        )
    if data is not None and experiment is not None:
        given["data"] = str(data.resolve())
    page, compared = write_comparison(
        runs, out, experiment, methods, given, updates, seed, num_particles, num_points, num_heldout, sandwich, data
    )
    if json:
        print_json({"page": str(page), **compared.as_json()})
        return
    print_tables(compared, compared.tables())
    print(f"page: {page}")
