"""`dpm-ppl bounds --num-particles`: kept in the run directory, interrupted, extended."""

import os
import shutil
import signal

import numpy as np
import pytest

from dpm_ppl._common.checks import is_traced
from dpm_ppl.likelihood import estimator
from tests.command_line import call, call_well


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(200, 2)))
    options = ("--kernel", "gaussian", "--num-steps", 10, "--updates", 3)
    call_well("fit", "array", "--data", folder / "x.npy", *options, "--out", folder / "run")
    return folder / "run"


@pytest.fixture
def run(fitted, tmp_path):
    return shutil.copytree(fitted, tmp_path / "run", ignore=shutil.ignore_patterns("likelihood"))


def figures(run, num_particles, *options):
    return call_well("bounds", run, "--num-particles", num_particles, "--num-points", 20, "--json", *options).json


def count_blocks(monkeypatch, interrupt_at=None):
    blocks = []
    compute = estimator._log_weights

    def counting(*arguments):
        if is_traced(arguments):  # for what its memory would be
            return compute(*arguments)
        blocks.append(arguments)
        if len(blocks) == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return compute(*arguments)

    monkeypatch.setattr(estimator, "_log_weights", counting)
    return blocks


def test_what_it_prints(run):
    plain = call_well("bounds", run, "--json").json
    shown = figures(run, 100, "--sandwich")
    assert plain.items() <= shown.items()
    assert shown["importance_weighted"][0]["mean"] == pytest.approx(plain["K"]["mean"], abs=4 * plain["K"]["se"])
    assert shown["importance_weighted"][-1]["num_particles"] == 100
    assert shown["sandwich"]["num_particles"] == 100
    assert shown["sandwich"]["gap"]["mean"] > -4 * shown["sandwich"]["gap"]["se"]
    table = call_well("bounds", run, "--num-particles", 100, "--num-points", 20, "--sandwich").out
    for part in ("K - L_null", "particles", "k-hat", "Sandwich"):
        assert part in table


def test_interrupted_it_goes_on_and_ends_the_same(run, fitted, monkeypatch):
    whole = figures(fitted, 256)
    blocks = count_blocks(monkeypatch, interrupt_at=3)  # of 8: 2 chunks of data, 4 of particles
    options = ("--num-particles", 256, "--num-points", 20, "--json")
    stopped = call("bounds", run, *options)
    assert stopped.code == 130
    assert stopped.json["interrupted"]
    assert "the same command goes on from here" in stopped.err
    assert len(blocks) == 3
    assert call_well("bounds", run, *options).json == whole
    assert len(blocks) == 8
    assert figures(run, 256) == whole
    assert len(blocks) == 8


def test_more_particles_are_added_to_those_there_are(run, fitted, monkeypatch):
    figures(run, 128)
    blocks = count_blocks(monkeypatch)
    extended = figures(run, 256)
    assert len(blocks) == 4
    assert extended == figures(fitted, 256)


@pytest.mark.parametrize(
    "proposal", ["smc", *(pytest.param(p, marks=pytest.mark.slow) for p in ("antithetic", "stratified"))]
)
def test_other_proposals(run, proposal):
    shown = figures(run, 128, "--proposal", proposal)
    plain = figures(run, 128)["importance_weighted"][-1]
    other = shown["importance_weighted"][-1]
    assert other["num_particles"] == 128
    assert other["mean"] != plain["mean"]
    assert other["mean"] == pytest.approx(plain["mean"], abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--num-particles", 0), "--num-particles: expected at least 1"),
        (("--num-particles", 8, "--num-points", 21), "--num-points: expected at least 1 and at most 20"),
        (("--num-points", 5), "--num-particles: expected a number of particles"),
        (("--sandwich",), "--num-particles: expected a number of particles"),
        (("--num-particles", 8, "--proposal", "magic"), "--proposal: expected one of trajectories, antithetic"),
    ],
)
def test_bad_options(fitted, options, message):
    called = call("bounds", fitted, *options)
    assert called.code == 2
    assert message in called.err
    assert called.err.count("\n") == 1
