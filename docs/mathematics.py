"""A hook of MkDocs: `$...$` in a page becomes MathML while the site is built, so that a reader needs no script."""

import html
import re

from latex2mathml.converter import convert

MATHEMATICS = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.DOTALL)


def on_page_content(content: str, **_) -> str:
    """MathML for what the extension arithmatex has marked."""

    def mathml(match: re.Match) -> str:
        display = "block" if match[1] == "div" else "inline"
        return convert(html.unescape(match[2]), display=display)

    return MATHEMATICS.sub(mathml, content)
