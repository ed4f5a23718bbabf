"""`dpm-ppl report`."""

from pathlib import Path

from dpm_ppl.app.commands._arguments import Directory, Whole, WholeOrNone
from dpm_ppl.app.commands._output import print_json


def report(
    run: Directory,
    *,
    num_particles: Whole = 512,
    num_points: WholeOrNone = None,
    num_heldout: WholeOrNone = None,
    out: Path | None = None,
    data: Path | None = None,
    json: bool = False,
) -> None:
    """Write one page about a run: figures, verdicts, pictures, configuration; and all that was measured as a tree.

    Args:
        run: A run directory.
        num_particles: Particles per datum; what earlier calls have drawn is used again.
        num_points: Held-out data that they look at; 100 if not given.
        num_heldout: Held-out data that K looks at; all if not given.
        out: The page; RUN/report.html if not given. The tree stands beside it as a .nc file.
        data: The file of the data, where it is no longer where it was.
        json: Print one JSON object.
    """
    from dpm_ppl.app.console.reporting import print_tables
    from dpm_ppl.app.pages.writing import write_report

    page, tree, compared = write_report(run, out or run / "report.html", num_particles, num_points, num_heldout, data)
    if json:
        print_json({"page": str(page), "tree": str(tree), **compared.as_json()})
        return
    print_tables(compared, compared.tables()[:2])
    print(f"page: {page}\ntree: {tree}")
