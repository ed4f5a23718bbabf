"""`TextTable`: one table of text for the terminal, a notebook, Markdown, LaTeX and a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from dpm_ppl._common.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 100
"""Columns of plain text."""

_ALIGNMENTS = {"l": "left", "c": "centre", "r": "right"}
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {mark: f"\\{mark}" for mark in "&%$#_{}"} | {"±": r"$\pm$", "<": "$<$", ">": "$>$", "≤": r"$\le$"}


@dataclass(frozen=True)
class TextTable:
    """A table of text, its first column the names of the rows.

    **Arguments:** `caption`; `headings`, one per column; `rows`, as many cells each; `align`, a letter `l`, `c` or `r`
    per column, by default names to the left and all else, figures, to the right; `note`, smaller words below;
    `group_sizes`, how many rows belong together, one group after the other, where there is to be space between groups.

    **Raises:** `InputError` where a row or `align` does not have one entry per column, or groups are not all rows.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str = ""
    note: str = ""
    group_sizes: Sequence[int] = ()
    kind: ClassVar[str] = "table"

    def __post_init__(self):
        columns = len(self.headings)
        uneven = [f"row {i} of {len(row)}" for i, row in enumerate(self.rows) if len(row) != columns]
        if uneven or not columns:
            got = uneven[0] if uneven else "no headings"
            raise InputError("rows", expected=f"a cell for each of {columns} headings", got=got, remedy="fill with ''")
        if self.align and (len(self.align) != columns or set(self.align) - set(_ALIGNMENTS)):
            expected = f"{columns} of the letters {', '.join(_ALIGNMENTS)}"
            raise InputError(
                "align", expected=expected, got=repr(self.align), remedy="give one per column, as in 'lrr'"
            )
        if self.group_sizes and sum(self.group_sizes) != len(self.rows):
            raise InputError(
                "group_sizes",
                expected=f"groups of {len(self.rows)} rows in all",
                got=list(self.group_sizes),
                remedy="count every row once",
            )

    @property
    def letters(self) -> str:
        """A letter of alignment per column."""
        return self.align or "l" + "r" * (len(self.headings) - 1)

    @property
    def alignments(self) -> list[str]:
        """The alignment of each column, in words."""
        return [_ALIGNMENTS[letter] for letter in self.letters]

    @property
    def groups(self) -> Iterator[list[Sequence[str]]]:
        """The rows that belong together."""
        rows = iter(self.rows)
        return (list(islice(rows, size)) for size in self.group_sizes or [len(self.rows)])

    def rich(self) -> "Table":
        """For `rich.print` and a terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.caption), title_justify="left", caption=Text(self.note), caption_justify="left")
        table.box, table.padding, table.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
        for heading, letter in zip(self.headings, self.letters, strict=True):
            table.add_column(Text(heading), justify={"l": "left", "c": "center", "r": "right"}[letter], no_wrap=True)
        for group in self.groups:
            for row in group:
                table.add_row(*map(Text, row))
            table.add_section()
        return table

    def to_text(self) -> str:
        """Plain text, `WIDTH` columns wide, or as wide as the cells need."""
        from rich.console import Console
        from rich.measure import Measurement

        console, drawn = Console(width=WIDTH, no_color=True, highlight=False), self.rich()
        console.width = max(WIDTH, Measurement.get(console, console.options.update(max_width=1000), drawn).maximum)
        with console.capture() as captured:
            console.print(drawn)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def to_markdown(self) -> str:
        """A pipe table, with caption and note as paragraphs."""
        marks = {"l": ":---", "c": ":---:", "r": "---:"}
        lines = [self.headings, [marks[letter] for letter in self.letters], *self.rows]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return "\n\n".join(part for part in (self.caption, table, self.note) if part) + "\n"

    def to_latex(self) -> str:
        """A floating table with the rules of the package booktabs."""
        groups = [[" & ".join(map(_latex, line)) + r" \\" for line in group] for group in self.groups]
        lines = [line for group in groups for line in (r"\addlinespace", *group)][1:]
        note = [r"\par\smallskip\footnotesize " + _latex(self.note)] if self.note else []
        head = " & ".join(map(_latex, self.headings)) + r" \\"
        inner = [r"\toprule", head, r"\midrule", *lines, r"\bottomrule"]
        body = [rf"\begin{{tabular}}{{{self.letters}}}", *inner, r"\end{tabular}", *note]
        caption = rf"\caption{{{_latex(self.caption)}}}"
        return "\n".join([r"\begin{table}", r"\centering", caption, *body, r"\end{table}"])

    def _repr_html_(self) -> str:
        """What a notebook shows."""

        def row(cells: Sequence[str], tag: str) -> str:
            styled = zip(cells, self.letters, strict=True)
            words = {"l": "left", "c": "center", "r": "right"}
            return "".join(f'<{tag} style="text-align:{words[to]}">{escape(cell)}</{tag}>' for cell, to in styled)

        head = f"<tr>{row(self.headings, 'th')}</tr>"
        groups = ("".join(f"<tr>{row(cells, 'td')}</tr>" for cells in group) for group in self.groups)
        body = "".join(f"<tbody>{group}</tbody>" for group in groups)
        note = f"<p><small>{escape(self.note)}</small></p>" if self.note else ""
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}<thead>{head}</thead>{body}</table>{note}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in text)
