"""`dpm-ppl paper`: its rows, and what becomes of those that can and cannot be fitted."""

import json

import pytest

from dpm_ppl.app.paper.made import Made
from dpm_ppl.app.paper.making import PAGE, declared, make_paper
from dpm_ppl.app.paper.page import table_of
from dpm_ppl.estimates import Estimate
from dpm_ppl.models import EXPERIMENTS, _smoothing
from dpm_ppl.models.paper import ROWS, Published, Row

PUBLISHED = Published(table="1", value=-2.414, unit="bits/sequence")
TINY = Row(
    data="heartbeat",
    published=PUBLISHED,
    experiment="heartbeat",
    variant="paper",
    options={"num_steps": 5},
    quick_updates=2,
    quick_heldout=50,
)
IMAGES = Row(
    data="digits",
    published=Published(table="2", value=317.0, unit="bits/image", error=2.7, figure="Parzen window"),
    experiment="digits",
    variant="paper",
    options={"num_steps": 5},
    quick_updates=2,
    quick_heldout=50,
)
UNKNOWN = Row(data="barks", published=PUBLISHED, experiment="no such one", variant="default")
WITHOUT_FILES = Row(data="bark", published=PUBLISHED, experiment="heartbeat", variant="default", needs_files=True)


def test_a_row_has_its_own_directory_and_its_options():
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        EXPERIMENTS[row.experiment](variant=row.variant, **row.options)


def test_figures_are_in_the_units_of_the_paper():
    pixels = Published(table="1", value=5.4, unit="bits/pixel", error=0.2)
    row = Row(data="images", published=pixels, experiment="images", variant="paper")
    assert row.per_unit((32, 16, 3)) == 512  # colours are summed
    assert pixels.words == "5.4 ± 0.2"
    assert TINY.per_unit((20,)) == 1


def test_a_row_that_cannot_be_made_says_what_it_needs(tmp_path):
    assert "no experiment" in str(declared(UNKNOWN, None))
    assert "--data-folder" in str(declared(WITHOUT_FILES, None))
    assert str(tmp_path / "heartbeat") in str(declared(WITHOUT_FILES, tmp_path))
    table = table_of([Made(row=TINY, K=Estimate(-2.5, 0.01, 50)), Made(row=UNKNOWN, reason="why")])
    (first, second), column = table.rows, list(table.headings).index("here")
    assert (first[column], second[column]) == (Estimate(-2.5, 0.01, 50).plus_minus(), "not measured")


@pytest.mark.slow
def test_rows_are_made_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_smoothing, "NUM_UPDATES", 3)

    def made() -> tuple[list, str]:
        found = []
        make_paper(tmp_path, quick=True, data_folder=None, print_json=found.append, rows=(TINY, IMAGES, UNKNOWN))
        return found[0]["rows"], capsys.readouterr().err

    rows, words = made()
    first, images, unknown = rows
    assert f"{TINY.name}: 2 updates" in words
    assert (first["num_updates"], first["published"]) == (2, -2.414)
    assert first["K"]["mean"] < first["exact"]["mean"] == pytest.approx(-2.3219, abs=1e-4)
    assert unknown["not_measured"]
    # A window as broad as the published widths allow, around draws that fill the whole range, is no good one.
    assert images["parzen"]["mean"] < 317
    assert images["K"]["mean"] < 64 * 5 / 2
    page = (tmp_path / PAGE).read_text()
    assert page.count("<img") == 4
    assert "as figure 3" in page
    assert "Parzen window of 200 draws" in page
    again, words = made()
    assert (again, "updates" in words) == (rows, False)
    json.dumps(rows, allow_nan=False)
