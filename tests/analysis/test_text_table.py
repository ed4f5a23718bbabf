import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.text_table import TextTable

NASTY = r"a_b & 50% <c> | {d} #1 $x$ ~ ^ \e ±"
TABLE = TextTable(
    "K_t, 100% of it", ["method", "K | bits", "n"], [[NASTY, "1.0 ± 0.1", "3"], ["b", "", "4"]], "lrc", NASTY
)


class Cells(HTMLParser):
    def __init__(self, text):
        HTMLParser.__init__(self)
        self.rows, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        elif self.inside:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_html_gives_every_cell_back():
    assert Cells(TABLE._repr_html_()).rows == [list(row) for row in (TABLE.headings, *TABLE.rows)]


def test_markdown_gives_every_cell_back():
    lines = [line for line in TABLE.to_markdown().splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert [cells[0], *cells[2:]] == [list(row) for row in (TABLE.headings, *TABLE.rows)]
    assert cells[1] == [":---", "---:", ":---:"]


def test_latex_leaves_no_mark_unescaped():
    text = TABLE.to_latex()
    body = text[text.index(r"\midrule") + len(r"\midrule") : text.index(r"\bottomrule")]
    rows = [row for row in body.split(r"\\") if row.strip()]
    assert [len(re.split(r"(?<!\\)&", row)) for row in rows] == [3, 3]
    plain = re.sub(r"\$(\\pm|<|>)\$|\\[a-z]+\{\}|\\[&%$#_{}]", "", rows[0])
    assert not set("%$#_{}~^\\<>") & set(plain)
    assert r"\begin{tabular}{lrc}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_the_terminal_shows_every_cell():
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(TABLE.rich())
    shown = console.export_text()
    for cell in (TABLE.caption, *TABLE.headings, *TABLE.rows[0]):
        assert cell in shown


def test_groups_stand_apart():
    table = TextTable("t", ["a", "b"], [["1", "x"], ["2", "y"], ["3", "z"]], group_sizes=[1, 2])
    *_, first, gap, second, third = table.to_text().splitlines()
    assert [line.split() for line in (first, gap, second, third)] == [["1", "x"], [], ["2", "y"], ["3", "z"]]
    assert table.to_latex().count(r"\addlinespace") == 1
    assert table._repr_html_().count("<tbody>") == 2


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"rows": [["a"]]}, "rows"),
        ({"headings": [], "rows": []}, "rows"),
        ({"align": "lr"}, "align"),
        ({"align": "lrx"}, "align"),
        ({"rows": [["a", "b", "c"]], "group_sizes": [2]}, "group_sizes"),
    ],
)
def test_bad_input(change, argument):
    given = {"caption": "", "headings": ["a", "b", "c"], "rows": [], **change}
    with pytest.raises(InputError) as caught:
        TextTable(**given)
    assert caught.value.argument == argument
