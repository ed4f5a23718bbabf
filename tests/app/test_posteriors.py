"""`dpm-ppl posteriors`: the list, a comparison in small, and what it refuses."""

import pytest

from dpm_ppl.analysis.guides import named
from dpm_ppl.models.posteriors import ENTRIES
from tests.command_line import call, call_well


def test_the_list_has_every_posterior():
    assert set(call_well("posteriors", "--json").json) == set(ENTRIES)
    text = call_well("posteriors").out
    assert all(name in text for name in ENTRIES)


def test_guides_are_compared_on_a_posterior(tmp_path):
    small = ("--updates", 20, "--num-particles", 200, "--out", tmp_path)
    found = call_well("posteriors", "two_modes", "--guides", "normal", "mvn", *small, "--json").json
    assert set(found["guides"]) == {"normal", "mvn"}
    assert found["log_evidence"]["mean"] == 0
    assert found["reference"] == "the reference"  # exact draws, as there are some
    for figures in found["guides"].values():
        assert figures["elbo"]["mean"] < 0 < figures["eubo"]["mean"]
    assert (tmp_path / "guides.html").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rings",), "name: expected one of funnel, two_modes"),
        (("ring", "--guides", "flow"), "--guides: expected one of normal, mvn"),
        (("ring", "--reference", "hmc"), "--reference: expected one of exact, nuts, none"),
        (("seeds", "--reference", "exact"), "--reference: expected a posterior with exact draws"),
        (("ring", "--updates", 1), "--updates: expected at least 2"),
        (("ring", "--updates", 20, "--seconds", 1), "--seconds: expected --updates or --seconds, got both"),
        (("ring", "--seconds", -1), "seconds: expected a positive number"),
    ],
)
def test_what_is_wrong_is_said_before_any_fit(arguments, says):
    called = call("posteriors", *arguments)
    assert (called.code, called.out) == (2, "")
    assert says in called.err


def test_every_named_guide_is_made_for_a_model():
    for make in named.GUIDES.values():
        make(lambda: None)
    assert set(named.DEFAULT) <= set(named.GUIDES)
