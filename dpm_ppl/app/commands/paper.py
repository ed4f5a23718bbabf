"""`dpm-ppl paper`."""

from pathlib import Path

from dpm_ppl.app.commands._output import print_json


def paper(*, out: Path | None = None, quick: bool = False, data_folder: Path | None = None, json: bool = False) -> None:
    """Make the tables and figures of the paper again, with its own networks and with the default ones.

    Each row is a run directory below OUT. What is finished there is kept: the same command again goes on where it was
    stopped. Rows whose data are missing say so.

    Args:
        out: Directory of the runs and of the page paper.html; runs/paper if not given, or runs/paper-quick.
        quick: Fewer updates: under 20 minutes on two cores.
        data_folder: Folder with the files of the data, in mnist, cifar10 and texture.
        json: Print one JSON object.
    """
    from dpm_ppl.app.paper.making import make_paper

    default = Path("runs") / ("paper-quick" if quick else "paper")
    make_paper(out or default, quick=quick, data_folder=data_folder, print_json=print_json if json else None)
