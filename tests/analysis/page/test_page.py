import base64
import io
import re
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.page import page as module
from dpm_ppl.analysis.page.page import (
    PagePicture,
    PageSection,
    PageSettings,
    PageTerms,
    html_page,
    write_page,
)
from dpm_ppl.analysis.text_table import TextTable
from tests.browser import chromium

NASTY = """<script>alert("x")</script> & 'a' <b>"""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="30" height="20"/></svg>'
VOID = {"meta", "link", "img", "br"}
HEADINGS = ["method", "K", "gap to exact"]
ROWS = [["diffusion", "2.541 ± 0.012", "0.086 ± 0.002"], ["VAE", "2.020 ± 0.015", "0.607 ± 0.009"], ["exact", "", ""]]


def drawing(num_points=10):
    figure = Figure(figsize=(4, 3), layout="constrained")
    points = np.random.default_rng(0).normal(size=(num_points, 2))
    figure.subplots().scatter(*points.T, c=points[:, 0])
    return figure


def sections():
    """A page with one of everything, and text that is HTML where it is not escaped."""
    table = TextTable(f"Bounds {NASTY}", HEADINGS, [*ROWS, [NASTY, NASTY, "0"]], note=NASTY)
    pictures = [PagePicture(drawing(), f"Points {NASTY}", NASTY), PagePicture(SVG, "A box", "a black box")]
    settings = PageSettings({NASTY: NASTY, "num_steps": 500}, "How it was fitted")
    return [
        PageSection(f"Verdict {NASTY}", [NASTY, "Nothing exceeds the exact value.", table]),
        PageSection("Pictures", pictures),
        PageSection("Configuration", [settings, PageTerms({"K": "the bound", NASTY: NASTY})]),
    ]


class Outline(HTMLParser):
    """What a page is made of: elements with their attributes, the text within each name, and whether tags match."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.path = [], {}, []
        self.feed(html)
        self.close()
        assert self.path == [], "an element is left open"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.path.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.path.pop() == tag

    def handle_data(self, data):
        for tag in set(self.path):
            self.texts[tag][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def test_everything_is_shown_as_the_text_it_is():
    outline = Outline(html_page(NASTY, sections(), abstract=[NASTY], footer=NASTY))
    for tag, times in {"title": 1, "h1": 1, "p": 3, "td": 2, "th": 2, "dt": 1, "dd": 1}.items():
        assert [text.strip() for text in outline.texts[tag]].count(NASTY) == times, tag
    assert outline.texts["caption"][0].strip() == f"Table 1. Bounds {NASTY}"
    assert [picture["alt"] for picture in outline.all("img")] == [NASTY, "a black box"]
    assert "script" not in outline.texts
    assert "b" in outline.texts  # of the page's own, for "Table 1."


def test_the_page_is_made_of_what_it_means():
    outline = Outline(html_page("Title", sections()))
    assert outline.all("html") == [{"lang": "en"}]
    assert outline.all("thead") == [{}]
    headings = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert set(headings[1:]) == {2}
    assert [text.strip() for text in outline.texts["caption"]][1] == "How it was fitted"
    captions = [text.strip().partition(".")[0] for text in outline.texts["figcaption"]]
    assert captions[1:] == ["Figure 1", "Figure 2"]
    assert [scope for cell in outline.all("th") if (scope := cell["scope"]) == "col"] == ["col"] * 3
    identities = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(set(identities)) == len(identities)
    labels = {attrs["aria-labelledby"] for _, attrs in outline.elements if "aria-labelledby" in attrs}
    targets = [link["href"].removeprefix("#") for link in outline.all("a")]
    assert targets == ["section-1", "section-2", "section-3"]
    assert labels | set(targets) <= set(identities)


def test_one_section_needs_no_contents():
    outline = Outline(html_page("Title", sections()[:1]))
    assert outline.all("nav") == outline.all("a") == []


@pytest.mark.parametrize(("align", "words"), [("", "left right right"), ("rcl", "right centre left")])
def test_columns_are_aligned_from_head_to_foot(align, words):
    outline = Outline(html_page("Title", [PageSection("Bounds", [TextTable("K", HEADINGS, ROWS, align=align)])]))
    cells = [attrs["class"] for tag, attrs in outline.elements if tag in ("th", "td")]
    assert cells == words.split() * (1 + len(ROWS))


def test_the_page_asks_for_nothing():
    outline = Outline(html_page("Title", sections()))
    sources = [attrs[name] for _, attrs in outline.elements for name in ("src", "href", "srcset") if name in attrs]
    assert {source.partition(":")[0] for source in sources if not source.startswith("#")} == {"data"}
    assert re.findall(r"url\(|@import|https?:|//", "".join(outline.texts["style"])) == []
    (policy,) = [meta["content"] for meta in outline.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:;")


def content(html):
    (source,) = re.findall(r'src="data:([^"]+)"', html)
    kind, _, encoded = source.partition(";base64,")
    return kind, base64.b64decode(encoded)


def picture_page(picture):
    return html_page("Title", [PageSection("Picture", [PagePicture(picture, "Points", "points")])])


def test_a_figure_is_a_drawing_of_its_own_size_and_the_same_every_time():
    html = picture_page(drawing())
    kind, svg = content(html)
    assert kind == "image/svg+xml"
    assert ET.fromstring(svg).get("viewBox") == "0 0 288 216"  # points, 72 to the inch
    assert 'width="384" height="288"' in html
    assert picture_page(drawing()) == html


def test_a_figure_of_thousands_of_points_is_pixels():
    html = picture_page(drawing(5_000))
    kind, png = content(html)
    assert kind == "image/png"
    assert [int.from_bytes(png[at : at + 4]) for at in (16, 20)] == [768, 576]
    assert 'width="384" height="288"' in html
    assert content(picture_page(png)) == (kind, png)
    assert 'width="' not in picture_page(png).partition("<img")[2].partition(">")[0]


def test_a_plot_collection_is_the_figure_it_has_drawn():
    import arviz_plots  # takes seconds
    from arviz_base import from_dict

    draws = from_dict({"posterior": {"a": np.random.default_rng(0).normal(size=(1, 50))}})
    collection = arviz_plots.plot_dist(draws, backend="matplotlib")
    assert content(picture_page(collection)) == content(picture_page(collection.get_viz("figure")))
    elsewhere = arviz_plots.plot_dist(draws, backend="none")
    with pytest.raises(InputError, match=r"picture: .*backend='matplotlib'"):
        PagePicture(elsewhere, "Points", "points")


def test_a_page_replaces_the_old_one_or_leaves_it(tmp_path):
    path = tmp_path / "page.html"
    write_page(path, "Old", sections())
    write_page(path, "Title", sections(), abstract=["verdict"], footer="made here")
    assert path.read_text("utf-8") == html_page("Title", sections(), abstract=["verdict"], footer="made here")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: TextTable("K", HEADINGS, [*ROWS, ["short"]]), "rows"),
        (lambda: TextTable("K", [], []), "rows"),
        (lambda: TextTable("K", HEADINGS, ROWS, align="lr"), "align"),
        (lambda: TextTable("K", HEADINGS, ROWS, align="lrx"), "align"),
        (lambda: PagePicture(SVG, "A box", " "), "alt"),
        (lambda: PagePicture(b"GIF89a", "A box", "a box"), "picture"),
        (lambda: PagePicture("box.png", "A box", "a box"), "picture"),
        (lambda: write_page("no/such/folder/page.html", "Title", []), "path"),
    ],
)
def test_bad_input_is_told_in_one_line(make, argument):
    with pytest.raises(InputError, match=f"^{argument}: expected .*, got .*; .+$"):
        make()


def test_a_missing_package_is_told_with_its_remedy(monkeypatch):
    module._template.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(InputError, match=r"dpm-ppl\[analysis\]"):
        html_page("Title", [])


def pixel(png, row, column):
    return imread(io.BytesIO(png))[row, column, :3]


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (400, True)])
def test_a_browser_shows_the_page(browser, tmp_path, width, dark):
    write_page(tmp_path / "page.html", "Title", sections(), abstract=["verdict"], footer="made here")
    seen = browser.open(tmp_path / "page.html", width=width, dark=dark)
    assert seen.problems == seen.requests == []
    table, settings = seen.tables
    assert table[:4] == [HEADINGS, *ROWS]
    assert [cell.split() for cell in table[4]] == [NASTY.split(), NASTY.split(), ["0"]]
    assert settings[1] == ["num_steps", "500"]
    assert [name for name, _ in seen.pictures] == [NASTY, "a black box"]
    assert all(pixels > 0 for _, pixels in seen.pictures)
    assert seen.overflow == 0
    # The background, rightmost of the first row of pixels, follows the reader's choice.
    assert (pixel(seen.screenshot, 0, -1).mean() < 0.5) == dark


BROKEN = {
    '<img src="missing.png" alt="gone">': ("ERR_FILE_NOT_FOUND", "missing.png"),
    '<img src="http://example.org/a.png" alt="gone">': ("ERR_NAME_NOT_RESOLVED", "http://example.org/a.png"),
    '<img src="data:image/png;base64,AAAA" alt="gone">': (None, None),
    "<script>throw new Error('out of ideas')</script>": ("out of ideas", None),
    "<script>console.error('on', 'fire')</script>": ("on fire", None),
    "<script src='http://example.org/a.js'></script>": ("ERR_NAME_NOT_RESOLVED", "http://example.org/a.js"),
    "<div style='width: 2000px'>wide</div>": (None, None),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_browser_tells_what_is_wrong(browser, tmp_path, fault):
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><html><body>{fault}</body></html>")
    seen = browser.open(tmp_path / "page.html")
    problem, request = BROKEN[fault]
    assert any(problem in told for told in seen.problems) if problem else seen.problems == []
    assert [url.endswith(request) for url in seen.requests] == [True] if request else seen.requests == []
    assert seen.pictures == ([("gone", 0)] if "<img" in fault else [])
    assert (seen.overflow > 0) == ("<div" in fault)


def test_the_page_itself_forbids_what_comes_from_elsewhere(browser, tmp_path):
    html = html_page("Title", sections())
    intruder = '<img src="http://example.org/a.png" alt="gone"><script>document.title = "taken"</script></body>'
    (tmp_path / "page.html").write_text(html.replace("</body>", intruder))
    seen = browser.open(tmp_path / "page.html")
    assert sum("Content Security Policy" in told for told in seen.problems) == 2
    assert "<title>Title</title>" in seen.html
