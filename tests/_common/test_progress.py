import io
from types import SimpleNamespace

import pytest

from dpm_ppl._common import progress
from dpm_ppl._common.progress import Pace, count_display, progress_display


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_the_time_left_knows_nothing_of_compilation(clock):
    """After 30 seconds for the first update, ten a second: from the second look on the rest takes what it takes."""
    pace = Pace(1000)
    clock.now = 30.0
    pace.add(401)
    assert (pace.rate, pace.left, str(pace), pace.short) == (None, None, "", "")
    clock.now = 30.2
    pace.add(403)
    assert pace.rate == pytest.approx(10)
    assert pace.left is not None
    assert pace.left.total_seconds() == 60


@pytest.mark.parametrize("slow", [60, 120, 600])
def test_the_pace_is_that_of_the_last_minute_or_of_half_the_time(clock, slow):
    """Ten a second, then one a second for a little more than as long."""
    pace = Pace(100_000)
    for clock.now in range(0, slow, 10):
        pace.add(10 * clock.now)
    for clock.now in range(slow, 2 * slow + 30, 10):
        pace.add(10 * slow + clock.now - slow)
    assert pace.rate == pytest.approx(1)


def test_one_long_evaluation_does_not_tell_the_rest(clock):
    """Ten minutes of ten a second, then three minutes in which five are done."""
    pace = Pace(10_000)
    for clock.now in range(0, 610, 10):
        pace.add(10 * clock.now)
    clock.now += 180
    pace.add(6005)
    assert pace.rate == pytest.approx(2205 / 400)


def test_a_clock_that_stands_still_is_no_fault(clock):
    pace = Pace(10)
    for done in range(10):
        pace.add(done)
    assert (pace.rate, str(pace)) == (None, "")


@pytest.mark.parametrize("kind", ["updates", "particles"])
def test_a_terminal_of_80_columns_shows_whole_numbers(clock, monkeypatch, kind):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    shown = {"loss": -123.45678, "skipped": 12} if kind == "updates" else {}
    made = {"total": 4_000_000, "done": 0, "unit": "bits"}
    of_fit = progress_display(True, **made) if kind == "updates" else count_display(True, kind, 4_000_000)
    with of_fit as show:
        for clock.now, done in enumerate([1, 1234, 2468, 3702]):
            show(done, **shown)
    last = terminal.getvalue()
    for text in ("3702/4000000", "1,234/s 0:53:59", *(["-123.4568 bits", "12 skipped"] if shown else [])):
        assert text in last
    assert "\N{HORIZONTAL ELLIPSIS}" not in last


def test_lines_come_every_half_minute(clock, capsys):
    with count_display(True, "particles", 100) as show:
        for clock.now in range(100):
            show(clock.now)
    assert capsys.readouterr().err.splitlines() == [
        "30 of 100 particles, 1 a second, 0:01:10 left",
        "60 of 100 particles, 1 a second, 0:00:40 left",
        "90 of 100 particles, 1 a second, 0:00:10 left",
    ]
