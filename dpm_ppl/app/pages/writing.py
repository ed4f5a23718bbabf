"""What `report` and `compare` do: measure, write the page, and give back the figures."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import make_folder
from dpm_ppl.analysis.comparison.comparison import Comparison
from dpm_ppl.analysis.page.page import check_page
from dpm_ppl.analysis.tree.files import check_store
from dpm_ppl.analysis.tree.tree import save
from dpm_ppl.app.comparing import check_same_data, data_of, declare_all, fit_all, measure_run, open_all
from dpm_ppl.app.evaluating import particles_for
from dpm_ppl.app.pages.sections import write_comparison_page, write_run_page
from dpm_ppl.app.results import tree_of
from dpm_ppl.experiments.options import check_range

PAGE = "compare.html"


def write_report(
    path: Path,
    page: Path,
    num_particles: int,
    num_points: int | None,
    num_heldout: int | None = None,
    data: Path | None = None,
) -> tuple[Path, Path, Comparison]:
    """The page of a run and the tree of all that was measured, and its figures; `data` where these are now."""
    check_range("--num-particles", num_particles, 1)
    if page.suffix != ".html":
        raise InputError("--out", expected="a .html file", got=page, remedy="leave it out for RUN/report.html")
    tree = page.with_suffix(".nc")
    check_page()
    check_store(tree)
    (trained,) = open_all([path], data, num_heldout).values()
    for target in (page, tree):
        check_target(target)
    measured = measure_run(trained, num_particles, num_points)
    print("drawing the page", file=sys.stderr)
    results = tree_of(trained, measured)
    compared = write_run_page(page, trained, measured, results)
    save(results, tree, replace=True)
    return page, tree, compared


def write_comparison(
    paths: Sequence[Path],
    out: Path | None,
    experiment: str | None,
    methods: Sequence[str],
    options: dict[str, Any],
    updates: int | None,
    seed: int | None,
    num_particles: int,
    num_points: int | None,
    num_heldout: int | None,
    with_sandwich: bool,
    data: Path | None = None,
) -> tuple[Path, Comparison]:
    """The page that compares the runs in `paths`, and the methods fitted below `out`; and the comparison.

    Options and seed that are not given are those of the first run, where it is of the same experiment; `data` says
    where their data are now.
    """
    if not paths and experiment is None:
        raise InputError(
            "runs", expected="run directories, or --experiment", got="neither", remedy="name what to compare"
        )
    check_page()
    trained = open_all(paths, data) if paths else {}
    there = {one.method_name for one in trained.values()}
    like = next((one.run for one in trained.values()), None)
    if like is not None and like.experiment == experiment:
        options, seed = data_of(like) | options, like.seed if seed is None else seed
    declared = declare_all(experiment, methods, options, seed or 0, without=there) if experiment else {}
    check_same_data({str(one.run.path): one.experiment for one in trained.values()} | declared)
    for one in (*declared.values(), *(opened.experiment for opened in trained.values())):
        one = one.scored_on(num_heldout)
        particles_for(one, one.recipe.method, num_particles, num_points)
    out = out or default_folder(None if like is None else like.path, experiment, options)
    make_folder(out, "--out")
    check_target(out / PAGE)
    fitted = fit_all(declared, out, updates=updates)
    trained = open_all([*paths, *fitted], data, num_heldout)
    measured = {}
    for name, one in trained.items():
        measured[name] = measure_run(one, num_particles, num_points, with_sandwich=with_sandwich)
    print("drawing the page", file=sys.stderr)
    return out / PAGE, write_comparison_page(out / PAGE, trained, measured)


def default_folder(like: Path | None, experiment: str | None, options: Mapping[str, Any]) -> Path:
    """Where a comparison goes: named after its first run, else its file of data, else its experiment."""
    if like is not None:
        return Path("runs") / f"compare-{like.resolve().name}"
    return Path("runs") / f"compare-{Path(str(options.get('data', experiment))).stem}"


def check_target(path: Path) -> None:
    """Raise `InputError`, before any long work, unless a file can be written there."""
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError("--out", expected="a place to write to", got=error, remedy="name another") from error
