"""One table of text for the terminal, a notebook, Markdown, LaTeX and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, ClassVar

from dpm_ppl._common.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

_ALIGNMENTS = {"l": "left", "c": "centre", "r": "right"}
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {mark: f"\\{mark}" for mark in "&%$#_{}"} | {"±": r"$\pm$", "<": "$<$", ">": "$>$", "≤": r"$\le$"}


@dataclass(frozen=True)
class TextTable:
    """A table of text, its first column the names of the rows.

    **Arguments:** `caption`; `headings`, one per column; `rows`, as many cells each; `align`, a letter `l`, `c` or `r`
    per column, by default names to the left and all else, figures, to the right; `note`, smaller words below.

    **Raises:** `InputError` where a row or `align` does not have one entry per column.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str = ""
    note: str = ""
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

    @property
    def letters(self) -> str:
        """A letter of alignment per column."""
        return self.align or "l" + "r" * (len(self.headings) - 1)

    @property
    def alignments(self) -> list[str]:
        """The alignment of each column, in words."""
        return [_ALIGNMENTS[letter] for letter in self.letters]

    def rich(self) -> "Table":
        """For `rich.print` and a terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.caption), title_justify="left", caption=Text(self.note), caption_justify="left")
        table.box, table.padding, table.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
        for heading, letter in zip(self.headings, self.letters, strict=True):
            table.add_column(Text(heading), justify={"l": "left", "c": "center", "r": "right"}[letter], no_wrap=True)
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def to_markdown(self) -> str:
        """A pipe table, with caption and note as paragraphs."""
        marks = {"l": ":---", "c": ":---:", "r": "---:"}
        lines = [self.headings, [marks[letter] for letter in self.letters], *self.rows]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return "\n\n".join(part for part in (self.caption, table, self.note) if part) + "\n"

    def to_latex(self) -> str:
        """A floating table with the rules of the package booktabs."""
        lines = [" & ".join(map(_latex, line)) + r" \\" for line in (self.headings, *self.rows)]
        note = [r"\par\smallskip\footnotesize " + _latex(self.note)] if self.note else []
        inner = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
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
        body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in self.rows)
        note = f"<p><small>{escape(self.note)}</small></p>" if self.note else ""
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>{note}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in text)
