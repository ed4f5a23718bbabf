"""The page of `dpm-ppl paper`, and its table: what was published beside what was made again."""

from collections.abc import Sequence
from pathlib import Path

from dpm_ppl.analysis.page.page import PagePicture, PageSection, PageTerms, write_page
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.app.pages.settings import settings
from dpm_ppl.app.pages.terms import TERMS
from dpm_ppl.app.paper.made import Made
from dpm_ppl.app.paper.restoring import CAPTIONS

CAPTION = "K of held-out, standardised data: as published, and made again (mean ± standard error over data)"
NOTE = "limit: the highest K that any network could reach with these steps; exact: that of the data themselves"


def table_of(made: Sequence[Made]) -> TextTable:
    """What was published beside what was made again."""
    headings = ["data and configuration", "table", "published", "here", "limit", "exact", "unit", "updates", "minutes"]
    rows = [
        [
            one.row.label,
            one.row.published.table,
            one.row.published.words,
            _figure(one),
            "" if one.row.limit is None else f"{one.row.limit:g}",
            "" if one.exact is None else one.exact.plus_minus(),
            one.row.published.unit,
            "" if one.trained is None else f"{one.trained.run.num_updates:,}",
            "" if one.seconds is None else f"{one.seconds / 60:.1f}",
        ]
        for one in made
    ]
    sizes: dict[str, int] = {}
    for one in made:
        sizes[one.row.data] = sizes.get(one.row.data, 0) + 1
    return TextTable(CAPTION, headings, rows, align="lcrrrrlrr", note=NOTE, group_sizes=list(sizes.values()))


def _figure(made: Made) -> str:
    if made.K is None:
        return "not measured"
    if made.parzen is None:
        return made.K.plus_minus()
    window = f"Parzen window of {made.parzen.num_samples:,} draws"
    return f"{made.parzen.bits.plus_minus()} ({window}), {made.K.plus_minus()} (K)"


def missing(made: Sequence[Made]) -> list[str]:
    """Which rows were not measured, why, and what to do."""
    return [f"not measured: {one.row.label}: {one.reason}" for one in made if one.reason]


def write(path: Path, made: Sequence[Made]) -> None:
    """The page of these rows into a file."""
    drawn = [one for one in made if one.trained is not None]
    pictures = [picture for one in drawn for picture in _pictures(one)]
    sections = [
        PageSection("The tables", [table_of(made), *missing(made)]),
        PageSection("The figures", pictures),
        PageSection(
            "Configuration", [settings(one.trained, one.row.label) for one in drawn if one.trained is not None]
        ),
        PageSection("Terms", [PageTerms(TERMS)]),
    ]
    abstract = [
        "Sohl-Dickstein et al. (2015), fitted and scored again, with the paper's networks and with the default ones."
    ]
    write_page(path, "The paper made again", sections, abstract=abstract, footer="Made by dpm-ppl.")


def _pictures(made: Made) -> list[PagePicture]:
    label = made.row.label
    first = (
        []
        if made.picture is None
        else [PagePicture(made.picture.read_bytes(), f"{made.row.picture}: {label}.", f"Draws of {label}")]
    )
    restored = [
        PagePicture(path.read_bytes(), f"{label[0].upper()}{label[1:]}: {CAPTIONS[name]}.", f"{label}, {name}")
        for name, path in made.restored.items()
    ]
    return first + restored
