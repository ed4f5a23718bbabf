"""The site: built without a warning, complete, and with nothing in it that another host would have to serve."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import dpm_ppl
from dpm_ppl.analysis import comparison, plots, posteriors, tree
from dpm_ppl.analysis import page as results_page

ROOT = Path(__file__).parents[1]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
"""Elements that make a browser fetch something, and the attribute that names it."""

pytest.importorskip("material", reason="the extra `docs` is not installed")


class Page(HTMLParser):
    """The anchors of a page, what it links to and what it loads."""

    def __init__(self, path: Path):
        HTMLParser.__init__(self)
        self.path, self.anchors, self.links, self.loaded = path, set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found.get("id"), found.get("name")}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADED and found.get(LOADED[tag]):
            self.loaded.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    # Without the variable the theme advertises other products on the error stream.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("INFO")] == []
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_of_the_navigation_is_there_and_no_other(site, pages):
    def files(entry):
        if isinstance(entry, str):
            return [entry]
        return [file for part in (entry.values() if isinstance(entry, dict) else entry) for file in files(part)]

    configuration = (ROOT / "mkdocs.yml").read_text()
    nav = files(yaml.safe_load(configuration)["nav"])
    assert {site / file.replace(".md", ".html") for file in nav} == set(pages)


def test_nothing_comes_from_another_host(site, pages):
    assert any(page.loaded for page in pages.values())
    for page in pages.values():
        assert [url for url in page.loaded if urlsplit(url).scheme not in ("", "data") or url.startswith("//")] == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\s]*", style.read_text()) == []


def test_what_is_loaded_is_there(pages):
    for page in pages.values():
        local = [urlsplit(url).path for url in page.loaded if not url.startswith("data:")]
        assert [url for url in local if not (page.path.parent / unquote(url)).is_file()] == []


def test_internal_links_lead_somewhere(pages):
    num_links = 0
    for page in pages.values():
        for link in map(urlsplit, page.links):
            if link.scheme or link.netloc:
                continue
            num_links += 1
            target = (page.path.parent / unquote(link.path)).resolve() if link.path else page.path
            if target.suffix == ".html":
                assert target in pages, link
                assert not link.fragment or unquote(link.fragment) in pages[target].anchors, (page.path.name, link)
            else:
                assert (target / "index.html").is_file() or target.is_file(), link
    assert num_links > len(pages)


def test_every_public_name_is_in_the_reference(pages):
    anchors = set.union(*(page.anchors for page in pages.values() if page.path.parent.name == "reference"))
    assert [name for name in dpm_ppl.__all__ if f"dpm_ppl.{name}" not in anchors] == []
    others = ("analysis", "app", "models")  # there only if another test has imported them
    found = {name: getattr(dpm_ppl, name) for name in dir(dpm_ppl) if name not in others}
    rooms = {f"dpm_ppl.{name}": room for name, room in found.items() if isinstance(room, ModuleType)}
    rooms |= {room.__name__: room for room in (comparison, plots, posteriors, results_page, tree)}
    names = [(head, name) for head, room in rooms.items() for name in getattr(room, "__all__", ())]
    everyday = {f"dpm_ppl.{name}" for name in dpm_ppl.__all__}
    missing = [
        f"{head}.{name}"
        for head, name in names
        if not {f"{head}.{name}", f"{head}.{name}.{name}"} & anchors and f"dpm_ppl.{name}" not in everyday
    ]
    assert missing == []


def test_mathematics_is_made_at_build_time(site, pages):
    for path in pages:
        text = path.read_text()
        assert "arithmatex" not in text
        assert not re.search(r"\\[(\[]|\$\$", re.sub(r"<(code|annotation)\b.*?</\1>", "", text, flags=re.DOTALL))
    assert "<math" in (site / "paper.html").read_text()
