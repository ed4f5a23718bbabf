"""One self-contained HTML page of words, tables and pictures, which needs no network and no script to be read.

`html_page` gives the text, `write_page` puts it in a file. Both know nothing of diffusion models: numbers come as the
text a person is to read, pictures as figures of Matplotlib or of ArviZ, or as the bytes of a PNG or SVG. Tables and
pictures are numbered through the page. The page's own security policy forbids a browser to load anything.
"""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from dpm_ppl._common.checks import check_installed
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import check_folder_of, replacing
from dpm_ppl.analysis.text_table import TextTable

_PNG = b"\x89PNG\r\n\x1a\n"
_CSS_PIXELS = 96  # per inch
_LARGEST_DRAWING = 400_000  # bytes of SVG; a figure of more, say thousands of points, is embedded as pixels


@dataclass(frozen=True)
class PagePicture:
    """A picture, the caption below it, and `alt`, words in its place for those who do not see it.

    **Arguments:** `picture`, a Matplotlib `Figure`, an ArviZ `PlotCollection` that Matplotlib has drawn, or the bytes
    of a PNG or SVG. Figures are embedded as SVG, and as PNG where that would be large.

    **Raises:** `InputError` for any other picture, and an empty `alt`.
    """

    picture: Any
    caption: str
    alt: str
    kind: ClassVar[str] = "picture"

    def __post_init__(self):
        if not self.alt.strip():
            raise InputError("alt", expected="what the picture shows", got=repr(self.alt), remedy="describe it")
        if not (isinstance(self._drawn, Figure) or (isinstance(self._drawn, bytes) and _media_type(self._drawn))):
            raise InputError(
                "picture",
                expected="a Matplotlib figure, a PlotCollection of it, or the bytes of a PNG or SVG",
                got="bytes of something else" if isinstance(self._drawn, bytes) else type(self._drawn).__name__,
                remedy="draw it with backend='matplotlib'",
            )

    @property
    def _drawn(self) -> Any:
        return self.picture.get_viz("figure") if hasattr(self.picture, "get_viz") else self.picture

    @property
    def embedded(self) -> "_Embedded":
        """The picture within the page's own text."""
        drawn = self._drawn
        if isinstance(drawn, bytes):
            return _Embedded(_data_uri(drawn))
        width, height = (round(_CSS_PIXELS * inches) for inches in drawn.get_size_inches())
        content = _saved(drawn, format="svg", metadata={"Date": None})
        if len(content) > _LARGEST_DRAWING:
            content = _saved(drawn, format="png", dpi=2 * _CSS_PIXELS)
        return _Embedded(_data_uri(content), width, height)


@dataclass(frozen=True)
class PageSettings:
    """A configuration: names and the values they were given."""

    values: Mapping[str, Any]
    caption: str = ""
    kind: ClassVar[str] = "settings"


@dataclass(frozen=True)
class PageTerms:
    """Terms and what they mean."""

    definitions: Mapping[str, str]
    kind: ClassVar[str] = "terms"


type Block = str | TextTable | PagePicture | PageSettings | PageTerms


@dataclass(frozen=True)
class PageSection:
    """A heading, and what stands below it in this order; text is a paragraph."""

    heading: str
    blocks: Sequence[Block] = field(default=())


def html_page(title: str, sections: Sequence[PageSection], *, abstract: Sequence[str] = (), footer: str = "") -> str:
    """The page as one string of HTML, with a table of contents where there is more than one section.

    **Arguments:** `abstract`, paragraphs between title and contents, such as the verdict; `footer`, a line at the end,
    such as what made the page and when.

    **Raises:** `InputError` where jinja2 is missing.
    """
    return _template().render(title=title, sections=sections, abstract=abstract, footer=footer)


def write_page(
    path: str | os.PathLike[str],
    title: str,
    sections: Sequence[PageSection],
    *,
    abstract: Sequence[str] = (),
    footer: str = "",
) -> None:
    """The page in a file, whole or not at all; one that stood there is replaced.

    **Raises:** `InputError` where there is no such folder, or jinja2 is missing.
    """
    path = Path(path)
    check_folder_of(path, "path")
    text = html_page(title, sections, abstract=abstract, footer=footer)
    with replacing(path) as file:
        file.write(text.encode())


def check_page() -> None:
    """Raise `InputError` where a page could not be made, as jinja2 is missing: to be known before long work."""
    _template()


class _Embedded(NamedTuple):
    """A picture as a data URI, and its size in CSS pixels where it is not that of its content."""

    source: str
    width: int | None = None
    height: int | None = None


def _media_type(content: bytes) -> str | None:
    if content.startswith(_PNG):
        return "image/png"
    start = content[:2000].lstrip()
    return "image/svg+xml" if start.startswith(b"<") and b"<svg" in start else None


def _data_uri(content: bytes) -> str:
    return f"data:{_media_type(content)};base64,{base64.b64encode(content).decode()}"


def _saved(figure: Figure, **options: Any) -> bytes:
    """The same bytes whenever the same figure is drawn."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "dpm-ppl", "svg.fonttype": "path"}):
        figure.savefig(file, **options)
    return file.getvalue()


@cache
def _template() -> Any:
    check_installed("jinja2", expected="the package that fills the page", extra="analysis")
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dpm_ppl.analysis.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
