"""`dpm-ppl posterior`: files that can be read, units, words for what is wrong, and what an interruption leaves."""

import json
import os
import shutil
import signal
import warnings
from typing import NamedTuple

import jax
import numpy as np
import pytest

from dpm_ppl import experiments, training
from dpm_ppl.analysis.tree import load
from dpm_ppl.app import runs as runs_of
from dpm_ppl.app.directories import DATA_FACTS
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.posterior import SMC
from dpm_ppl.training import checkpoint
from tests.command_line import call, call_well

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(60, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
SCALE, SHIFT = 100.0, 7.0
QUICK = ("--num-particles", 32)


def untrained(folder, name, data, kernel):
    """The directory of a run that has just begun."""
    np.save(folder / f"{name}.npy", data)
    options = {"data": str(folder / f"{name}.npy"), "kernel": kernel, "num_steps": 5, "width": 8, "depth": 1}
    declared = experiments.declare(EXPERIMENTS, "array", options, 0)
    run = runs_of.create(folder / name, declared, num_updates=1)
    (run.path / DATA_FACTS).write_text(json.dumps(declared.task.data_facts))
    rows = declared.task.train.rows(np.arange(1))
    keep_best = declared.task.validation is not None
    state = training.init(run.svi(declared), jax.random.key(0), rows, keep_best=keep_best)
    checkpoint.save_in(run.checkpoints, 1, state, {"settings": run.identity})
    return run.path


class Runs(NamedTuple):
    """Three runs that have not been trained."""

    real: object
    rescaled: object
    bits: object


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    bits = RNG.integers(0, 2, (60, 4))
    return Runs(
        untrained(folder, "real", POINTS, "gaussian"),
        untrained(folder, "rescaled", SCALE * POINTS + SHIFT, "gaussian"),
        untrained(folder, "bits", bits, "bernoulli"),
    )


def observe(folder, values):
    np.save(folder / "observed.npy", np.asarray(values))
    return folder / "observed.npy"


def posterior(run, folder, values, *options, caller=call_well):
    return caller("posterior", run, "--observe", observe(folder, values), "--out", folder / "out", *options)


def draws(folder):
    return load(folder / "out" / "posterior.nc")["posterior"]["x_0"].values[0]


def test_what_is_known_stays_and_everything_is_written(runs, tmp_path):
    told = posterior(runs.real, tmp_path, [[0.5, np.nan], [np.nan, -1.0]], "--likelihood", "mask", *QUICK, "--json")
    tree = load(tmp_path / "out" / "posterior.nc")
    assert tree["posterior"]["x_0"].dims == ("chain", "draw", "observation", "x_0_dim_0")
    found = tree["posterior"]["x_0"].values[0]
    assert found.shape == (32, 2, 2)
    np.testing.assert_allclose(found[:, 0, 0], 0.5, atol=1e-6)
    np.testing.assert_allclose(found[:, 1, 1], -1.0, atol=1e-6)
    assert found[:, 0, 1].std() > 0.1
    np.testing.assert_array_equal(tree["observed_data"]["y"], [[0.5, np.nan], [np.nan, -1.0]])
    statistics = tree["sample_stats"]
    np.testing.assert_allclose(np.exp(statistics["log_weights"]).sum("particle"), 1, rtol=1e-6)
    figures = told.json
    for number, one in enumerate(figures["posteriors"]):
        assert one["log_evidence"] == pytest.approx(float(statistics["log_evidence"][number]))
        assert one["effective_draws"] == pytest.approx(float(statistics["ess"][number]))
        assert one["verdict"] == str(statistics["verdict"].values[number])
    assert (tree.attrs["likelihood"], tree.attrs["method"], tree.attrs["num_particles"]) == ("mask", "smc", 32)
    assert (tmp_path / "out" / "pictures" / "posterior.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "posterior.html").read_text()
    assert "posterior by smc" in page
    # Few particles: said on the error stream, on the page and in the tree.
    assert figures["interrupted"] is False
    assert "NOT RELIABLE: 2 of 2 posteriors doubtful (observation 0, 1)" in told.err
    assert "--num-particles" in told.err
    assert "NOT RELIABLE" in page
    assert tree.attrs["verdict"] == "doubtful"
    assert "raise num_particles" in tree.attrs["notices"]


def test_data_in_other_units_have_the_same_posterior_in_these(runs, tmp_path):
    posterior(runs.real, tmp_path, [0.5, -0.2], "--likelihood", "gaussian", "--sigma", 0.3, *QUICK)
    here, first = draws(tmp_path), load(tmp_path / "out" / "posterior.nc")
    given = [SCALE * 0.5 + SHIFT, SCALE * -0.2 + SHIFT]
    posterior(runs.rescaled, tmp_path, given, "--likelihood", "gaussian", "--sigma", 30, *QUICK)
    np.testing.assert_allclose(draws(tmp_path), SCALE * here + SHIFT, rtol=0.01, atol=0.5)
    evidences = [
        float(tree["sample_stats"]["log_evidence"][0]) for tree in (first, load(tmp_path / "out" / "posterior.nc"))
    ]
    assert evidences[1] == pytest.approx(evidences[0] - 2 * np.log(SCALE), abs=0.02)


def test_noise_on_some_coordinates_leaves_the_others_free(runs, tmp_path):
    noisy = ("--likelihood", "gaussian", "--sigma", 0.01, *QUICK, "--num-draws", 20)
    posterior(runs.real, tmp_path, [np.nan, 0.5], *noisy)
    found = draws(tmp_path)[:, 0]
    assert found.shape == (20, 2)
    assert found[:, 1] == pytest.approx(np.full(20, 0.5), abs=0.06)
    assert found[:, 0].std() > 0.1


def test_bits_that_may_be_flipped(runs, tmp_path):
    told = posterior(runs.bits, tmp_path, [1, 0, 1, 1], "--likelihood", "flip", "--rate", 0.01, "--seed", 3)
    found = draws(tmp_path)[:, 0]
    assert set(np.unique(found)) == {0, 1}
    np.testing.assert_allclose(found.mean(axis=0), [1, 0, 1, 1], atol=0.1)
    assert "reliable" in told.out
    assert "NOT RELIABLE" not in told.err


def test_a_biased_method_is_said_to_be(runs, tmp_path):
    called = posterior(
        *(runs.real, tmp_path, [0.5, 0.1], "--likelihood", "gaussian", "--sigma", 1),
        *("--method", "paper", "--num-draws", 16),
    )
    assert "approximate" in called.err
    assert "paper is biased" in called.err
    assert draws(tmp_path).shape == (16, 1, 2)


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ([0.5, np.nan, 1.0], ("--likelihood", "mask"), "--observe: expected numbers of shape (2,)"),
        ([[0.1, np.nan], [0.5, 0.1]], ("--likelihood", "mask"), "got all observed in observation 1"),
        ([np.nan, np.nan], ("--likelihood", "gaussian", "--sigma", 1), "got none observed in observation 0"),
        ([0.5, np.inf], ("--likelihood", "mask"), "--observe: expected finite numbers"),
        (["a", "b"], ("--likelihood", "mask"), "--observe: expected numbers of shape (2,)"),
        ([900.0, np.nan], ("--likelihood", "mask"), "--observe: expected observations in the units of the data"),
        ([0.5, 0.1], ("--likelihood", "gaussian"), "--sigma: expected the noise's standard deviation, got none"),
        ([0.5, 0.1], ("--likelihood", "gaussian", "--sigma", -1), "--sigma: expected a positive number"),
        ([0.5, np.nan], ("--likelihood", "mask", "--sigma", 1), "--sigma: expected --likelihood gaussian"),
        ([0.5, 0.1], ("--likelihood", "gaussian", "--sigma", 1, "--rate", 0.1), "--rate: expected --likelihood flip"),
        ([0.5, 0.1], ("--likelihood", "flip", "--rate", 0.1), "--likelihood: expected gaussian or mask"),
        ([0.5, 0.1], ("--likelihood", "laplace"), "--likelihood: expected one of gaussian, mask, flip"),
        ([0.5, np.nan], ("--likelihood", "mask", "--method", "magic"), "--method: expected one of smc"),
        ([0.5, np.nan], ("--likelihood", "mask", "--method", "mcmc"), "--method: expected for NUTS"),
        ([0.5, np.nan], ("--likelihood", "mask", "--method", "twist", *QUICK), "--num-particles: expected a method"),
        ([0.5, np.nan], ("--likelihood", "mask", "--num-particles", 1), "--num-particles: expected at least 2"),
        ([0.5, np.nan], ("--likelihood", "mask", "--num-draws", 3), "--num-draws: expected at least 4"),
    ],
)
def test_wrong_use_is_one_line_before_anything_is_computed(runs, tmp_path, monkeypatch, values, options, says):
    monkeypatch.setattr(SMC, "draw", None)
    called = posterior(runs.real, tmp_path, values, *options, caller=call)
    assert called.code == 2
    assert says in called.err
    assert called.err.count("\n") == 1
    assert not (tmp_path / "out" / "posterior.nc").exists()


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ([2, 0, 1, 0], ("--likelihood", "flip", "--rate", 0.1), "--observe: expected bits, 0 or 1"),
        ([1, 0, 1, 0], ("--likelihood", "flip", "--rate", 1.5), "--rate: expected a share between 0 and 1"),
        ([1, 0, 1, 0], ("--likelihood", "gaussian", "--sigma", 1), "--likelihood: expected mask or flip"),
    ],
)
def test_wrong_use_with_bits(runs, tmp_path, values, options, says):
    called = posterior(runs.bits, tmp_path, values, *options, caller=call)
    assert (called.code, says in called.err) == (2, True), called.err


def test_files_that_are_not_there_or_no_arrays(runs, tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    for name, says in (("missing.npy", "got no file"), ("text.npy", "cannot be read")):
        called = call("posterior", runs.real, "--observe", tmp_path / name, "--likelihood", "mask")
        assert (called.code, says in called.err) == (2, True), called.err


def test_a_run_needs_no_data_but_a_diffusion(runs, tmp_path):
    moved = shutil.copytree(runs.real, tmp_path / "run")
    described = json.loads((moved / "run.json").read_text())
    described["options"]["data"] = str(tmp_path / "gone.npy")
    (moved / "run.json").write_text(json.dumps(described))
    posterior(moved, tmp_path, [0.5, np.nan], "--likelihood", "mask", *QUICK)
    assert draws(tmp_path).shape == (32, 1, 2)


def count_draws(monkeypatch, interrupt_at=None):
    """The seeds of what SMC has been asked to draw; Ctrl-C comes during the call of this number."""
    draw, keys = SMC.draw, []

    def counting(self, diffusion, observation, key):
        keys.append(key)
        if len(keys) == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(self, diffusion, observation, key)

    monkeypatch.setattr(SMC, "draw", counting)
    return keys


def test_interrupted_it_goes_on_and_ends_the_same(runs, tmp_path, monkeypatch):
    values, options = [[0.5, np.nan], [0.1, np.nan], [np.nan, 1.0]], ("--likelihood", "mask", *QUICK, "--json")
    (tmp_path / "whole").mkdir()
    whole = posterior(runs.real, tmp_path / "whole", values, *options)
    drawn = count_draws(monkeypatch, interrupt_at=2)
    stopped = posterior(runs.real, tmp_path, values, *options, caller=call)
    assert stopped.code == 130
    assert "interrupted; the same command goes on from here" in stopped.err
    assert (stopped.json["interrupted"], len(stopped.json["posteriors"])) == (True, 2)
    assert draws(tmp_path).shape == (32, 2, 2)
    assert "Interrupted: 2 of 3 observations." in (tmp_path / "out" / "posterior.html").read_text()

    told = posterior(runs.real, tmp_path, values, *options)
    assert len(drawn) == 3
    assert told.json["posteriors"] == whole.json["posteriors"]
    for group in ("posterior", "sample_stats", "observed_data"):
        ours, theirs = (load(at / "out" / "posterior.nc")[group].to_dataset() for at in (tmp_path, tmp_path / "whole"))
        assert ours.identical(theirs), group
    assert not (tmp_path / "out" / "unfinished").exists()


@pytest.mark.parametrize(
    "change",
    [("--seed", 5), pytest.param(("--num-particles", 16), marks=pytest.mark.slow), "observations", "damage"],
)
def test_what_is_kept_of_something_else_is_drawn_anew(runs, tmp_path, monkeypatch, change):
    values, options = [[0.5, np.nan], [0.1, np.nan]], ["--likelihood", "mask", *QUICK]
    drawn = count_draws(monkeypatch, interrupt_at=1)
    posterior(runs.real, tmp_path, values, *options, caller=call)
    if change == "observations":
        values[0][0] = 0.6
    elif change == "damage":
        path = tmp_path / "out" / "unfinished" / "0.npz"
        path.write_bytes(path.read_bytes()[:-100])
    else:
        options += change
    with warnings.catch_warnings(action="default"):
        called = posterior(runs.real, tmp_path, values, *options)
    assert ("is damaged" in called.err) == (change == "damage")
    assert len(drawn) == 3


@pytest.mark.slow
def test_a_guide_is_trained_for_each_observation(runs, tmp_path):
    options = ("--likelihood", "gaussian", "--sigma", 0.5, "--method", "svi", "--num-draws", 200)
    posterior(runs.real, tmp_path, [0.5, np.nan], *options)
    statistics = load(tmp_path / "out" / "posterior.nc")["sample_stats"]
    gap = float(statistics["log_evidence"][0]) - float(statistics["lower_bound"][0])
    assert -0.05 < gap < 0.5
