import contextlib
import dataclasses
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import dpm_ppl
from dpm_ppl._common import chunks
from dpm_ppl._common.errors import TrainingError
from dpm_ppl._common.interruption import Ended
from dpm_ppl.app import demo, evaluating, runs
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.evaluation import scores
from dpm_ppl.experiments import option
from dpm_ppl.experiments.options import flag
from dpm_ppl.models import EXPERIMENTS
from tests.command_line import call, call_well

NUM_LEVELS, SHAPE = 4, (60, 3)
ESTIMATES = (
    "K",
    "L_null",
    "K_minus_L_null",
    "K_original",
    "exact",
    "gap",
    "K_per_pixel",
    "K_minus_L_null_per_pixel",
    "bits_per_dim",
    "gaussian",
    "K_minus_gaussian",
)


def fit_array(folder, out, *options):
    data = folder / "x.npy"
    if not data.exists():
        np.save(data, np.random.default_rng(0).integers(0, NUM_LEVELS, SHAPE))
    arguments = ("--data", data, "--kernel", "gaussian", "--levels", NUM_LEVELS, "--num-steps", 10, "--updates", 3)
    return call("fit", "array", *arguments, "--out", folder / out, *options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def fitted(folder):
    """What `fit --json` printed for the run in `folder / "run"`."""
    called = fit_array(folder, "run", "--json")
    assert called.code == 0, called.err
    return called


@pytest.fixture
def copy(fitted, folder, tmp_path):
    """A run of its own to spoil."""
    return shutil.copytree(folder / "run", tmp_path / "run")


def newest_checkpoint(run):
    return max((run / "checkpoints").iterdir()).read_bytes()


def without_times(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row | {"seconds": None} for row in rows]


def test_list_names_every_experiment_and_the_options_fit_takes():
    described = call_well("list", "--json").json
    assert set(described) == set(EXPERIMENTS)
    assert described["swissroll"]["options"] == ["method", "noise", "variant", "edge", "num_steps"]
    text = call_well("list").out
    every = {option for entry in described.values() for option in entry["options"]}
    for name, entry in described.items():
        assert name in text
        usage = call_well("fit", name, "--help").out
        assert {one for one in every if f"{flag(one)} " in usage} == set(entry["options"])
        assert all(flag(one) in text for one in entry["options"])


def test_a_run_directory_describes_itself(fitted, folder):
    described = json.loads((folder / "run" / "run.json").read_text())
    assert described["experiment"] == "array"
    assert described["options"]["data"] == str(folder / "x.npy")
    assert (described["options"]["num_steps"], described["options"]["edge"]) == (10, "fixed")
    assert (described["seed"], described["num_updates"]) == (0, 3)
    assert described["environment"]["versions"].keys() == set(runs.PACKAGES)
    assert described["environment"]["device"].startswith("cpu")


def test_metrics_have_a_row_per_evaluation(fitted, folder):
    rows = without_times(folder / "run")
    assert [row["update"] for row in rows] == [0, 1, 2, 3]
    assert all(row.keys() >= {"seconds", "loss", "skipped", "K", "K_se", "bits_per_dim"} for row in rows)


def test_an_array_has_its_picture_too(fitted, folder):
    assert (folder / "run" / "pictures" / "draws.png").stat().st_size > 0
    assert "picture: " in fitted.err


def test_progress_and_what_is_odd_about_the_data_go_to_stderr(fitted):
    assert "update 3 of 3" in fitted.err
    assert "49 data to train on, 5 to choose parameters by, 6 held out; gaussian kernel" in fitted.err
    assert "only 6 held-out data" in fitted.err
    assert "kept the parameters of update" in fitted.err
    assert fitted.json["experiment"] == "array"


def test_bounds_gives_the_figures_of_the_fit(fitted, folder):
    called = call_well("bounds", folder / "run", "--json")
    figures = called.json
    assert figures == fitted.json
    assert called.err == ""
    assert (figures["experiment"], figures["num_points"], figures["unit"]) == ("array", 6, "bits/point")
    unknown = ("exact", "gap", "K_per_pixel", "K_minus_L_null_per_pixel")  # the data are no images
    assert all(figures[name] is None for name in unknown)
    known = [name for name in ESTIMATES if name not in unknown]
    assert all(figures[name].keys() == {"mean", "se"} and figures[name]["se"] > 0 for name in known)
    mean = {name: figures[name]["mean"] for name in known}
    assert mean["K_minus_gaussian"] == pytest.approx(mean["K"] - mean["gaussian"], rel=1e-9)
    assert mean["K_minus_L_null"] == pytest.approx(mean["K"] - mean["L_null"], rel=1e-9)
    assert mean["bits_per_dim"] == pytest.approx(-mean["K_original"] / SHAPE[1], rel=1e-9)


def test_bounds_are_kept_and_may_look_at_fewer_data(fitted, folder, copy, monkeypatch):
    fewer = call_well("bounds", copy, "--num-heldout", 4, "--json").json
    assert fewer["num_points"] == 4
    monkeypatch.setattr(Diffusion, "bound_terms", lambda *_, **__: pytest.fail("it was computed again"))
    monkeypatch.setattr(scores, "identity_of", lambda *_: str(np.load(max(copy.glob("scores/*-6-*")))["identity"]))
    assert call_well("bounds", copy, "--json").json == fitted.json
    called = call("bounds", copy, "--num-heldout", 7)
    assert (called.code, called.out) == (2, "")
    assert "--num-heldout: expected 1 to 6 held-out data" in called.err


def test_bounds_from_fewer_steps(fitted, folder, copy):
    whole = fitted.json["K"]
    sampled = call_well("bounds", copy, "--num-sampled-steps", 4, "--json").json
    assert (sampled["num_sampled_steps"], sampled["num_steps"]) == (4, None)
    assert sampled["K"] != whole
    assert call_well("bounds", copy, "--num-sampled-steps", 9, "--json").json == fitted.json  # all there are
    assert "K from 4 steps" in call_well("bounds", copy, "--num-sampled-steps", 4).out
    shorter = call_well("bounds", copy, "--num-steps", 5, "--json").json
    assert (shorter["num_sampled_steps"], shorter["num_steps"]) == (None, 5)
    assert shorter["K"] not in (whole, sampled["K"])
    assert "array, 5 steps" in call_well("bounds", copy, "--num-steps", 5).out
    assert call_well("bounds", copy, "--json").json == fitted.json
    called = call("bounds", copy, "--num-steps", 11)
    assert (called.code, called.out) == (2, "")
    assert "--num-steps: expected at least 2 and at most 10, got 11" in called.err


def test_bounds_as_a_table(fitted, folder):
    table = call_well("bounds", folder / "run", "--num-draws", 2).out
    assert "bits/point" in table
    assert "6 x 2 draws" in table
    for figure in ("K - L_null", "code length, at most", "bits/dim"):
        assert figure in table


def test_sample_writes_draws_in_the_units_of_the_data(fitted, folder, tmp_path):
    called = call_well("sample", folder / "run", "--num-samples", 7, "--out", tmp_path / "draws.npy", "--json")
    assert called.json == {"experiment": "array", "file": str(tmp_path / "draws.npy"), "shape": [7, 3]}
    draws = np.load(tmp_path / "draws.npy")
    assert draws.dtype.kind == "i"
    assert draws.min() >= 0
    assert draws.max() < NUM_LEVELS
    for seed, same in ((0, True), (1, False)):
        call_well("sample", folder / "run", "--num-samples", 7, "--seed", seed)
        assert np.array_equal(np.load(folder / "run" / "samples.npy"), draws) == same


def test_a_finished_run_is_resumed_without_a_change(fitted, folder, copy):
    again = fit_array(folder, copy, "--resume", "--json")
    assert again.code == 0, again.err
    assert again.json == fitted.json
    assert newest_checkpoint(copy) == newest_checkpoint(folder / "run")
    assert without_times(copy) == without_times(folder / "run")


@pytest.mark.parametrize(
    ("options", "argument", "begun"),
    [
        (("--seed", 1), "--seed", "0"),
        (("--updates", 2), "--updates", "3"),
        (("--num-steps", 11), "--num-steps", "10"),
        (("--edge", "learned"), "--edge", "fixed"),
        (("--pi", 0.5), "--pi", "None"),
    ],
)
def test_a_run_is_not_resumed_with_other_options(copy, options, argument, begun):
    called = call("fit", "array", "--resume", "--out", copy, *options)
    assert (called.code, called.out) == (2, "")
    assert called.err.startswith(f"dpm-ppl: {argument}: expected {begun}")
    assert "with which the run in" in called.err
    assert called.err.count("\n") == 1


def test_a_run_is_not_resumed_as_another_experiment(copy):
    called = call("fit", "swissroll", "--resume", "--out", copy)
    assert called.code == 2
    assert called.err.startswith("dpm-ppl: experiment: expected array, with which the run")


@pytest.mark.slow
def test_ctrl_c_saves_and_resume_goes_on_bit_for_bit(fitted, folder, tmp_path, monkeypatch):
    evaluation = runs._evaluation

    def interrupting(*arguments):
        evaluate, looks = evaluation(*arguments), iter(range(9))

        def interrupt(params):
            if next(looks) == 1:  # the look before the first update is not the place, and once is enough
                os.kill(os.getpid(), signal.SIGINT)
            return evaluate(params)

        return interrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(runs, "_evaluation", interrupting)
        called = fit_array(folder, run, "--json")
    assert (called.code, called.out) == (130, "")
    assert "the same command with --resume goes on from here" in called.err
    assert [row["update"] for row in without_times(run)] == [0, 1]
    resumed = call_well("fit", "array", "--out", run, "--resume", "--json")
    assert resumed.json == fitted.json
    assert without_times(run) == without_times(folder / "run")


def test_draws_that_are_interrupted_begin_anew_and_this_is_said(fitted, folder, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(chunks, "watched", stop)
    called = call("sample", folder / "run")
    assert (called.code, called.err) == (130, "dpm-ppl: interrupted; the same command begins anew\n")


@pytest.mark.parametrize(
    ("failure", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "dpm-ppl: interrupted; the same command goes on from here\n"),
        (Ended(signal.SIGTERM), 143, "dpm-ppl: interrupted; the same command goes on from here\n"),
        (Ended(signal.SIGHUP), 129, "dpm-ppl: interrupted; the same command goes on from here\n"),
        (TrainingError("overflow", "call f(x=1)"), 1, "dpm-ppl: overflow: check the data, or try another --seed\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.npz"),
            1,
            "dpm-ppl: [Errno 28] No space left on device: 'x.npz'; what was saved before is still whole\n",
        ),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_what_goes_wrong_later_is_one_line_too(fitted, folder, monkeypatch, failure, code, says):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(evaluating, "evaluate", fail)
    called = call("bounds", folder / "run")
    assert (called.code, called.out, called.err) == (code, "", says)


@pytest.mark.slow
def test_heartbeat_from_fit_to_figure(tmp_path):
    run = tmp_path / "heart"
    figures = call_well("fit", "heartbeat", "--num-steps", 10, "--updates", 3, "--out", run, "--json").json
    assert figures["unit"] == "bits/sequence"
    assert figures["L_null"]["mean"] == pytest.approx(-14.43856, abs=1e-5)
    assert figures["exact"] == {"mean": pytest.approx(np.log2(1 / 5)), "se": pytest.approx(0, abs=1e-12)}
    assert figures["K"]["mean"] < figures["exact"]["mean"]
    assert figures["gap"]["mean"] == pytest.approx(figures["exact"]["mean"] - figures["K"]["mean"])
    assert figures["bits_per_dim"] is None
    assert (run / "pictures" / "figure2.png").stat().st_size > 0
    assert "for comparison: Sohl-Dickstein" in call_well("bounds", run).out
    call_well("sample", run, "--num-samples", 5)
    assert set(np.unique(np.load(run / "samples.npy"))) <= {0, 1}


@pytest.mark.slow
def test_demo_fits_scores_and_draws_and_then_goes_on(tmp_path, monkeypatch):
    few = [("num_steps", int, option(10, "T."))]
    short = {
        name: dataclasses.make_dataclass("Short", few, bases=(EXPERIMENTS[name],), frozen=True, kw_only=True)
        for name in demo.UPDATES
    }
    monkeypatch.setattr(demo, "EXPERIMENTS", short)
    monkeypatch.setattr(demo, "UPDATES", dict.fromkeys(demo.UPDATES, 3))
    called = call_well("demo", "--out", tmp_path, "--json")
    figures = called.json
    assert figures.keys() == {"digits", "swissroll"}
    assert figures["digits"]["bits_per_dim"]["mean"] > 0
    assert figures["swissroll"]["exact"]["mean"] == pytest.approx(2.70, abs=4 * figures["swissroll"]["exact"]["se"])
    for name in figures:
        assert Path(figures[name]["picture"]).parent == tmp_path / name / "pictures"
        assert Path(figures[name]["picture"]).stat().st_size > 0
    again = call_well("demo", "--out", tmp_path)
    assert "update" not in again.err.replace("updates", "")
    for text in ("exact log-likelihood", "gap (exact - K)", "code length, at most", "figure1.png"):
        assert text in again.out


def test_a_fit_that_is_resumed_begins_where_there_is_none(fitted, folder, tmp_path):
    (tmp_path / ".run.json.123.unfinished").write_text("{")
    called = fit_array(folder, tmp_path, "--resume", "--json")
    assert called.code == 0, called.err
    assert called.json == fitted.json
    assert "no run in" in called.err
    assert without_times(tmp_path) == without_times(folder / "run")


def test_a_finished_run_is_trained_on_at_a_tenth_of_the_rate(fitted, folder, copy):
    called = fit_array(folder, copy, "--resume", "--updates", "5e0", "--json")
    assert called.code == 0, called.err
    assert "beyond the 3 updates first asked for, the learning rate stays at 10% of its peak" in called.err
    assert (called.json["num_updates"], called.json["num_updates_done"]) == (5, 5)
    assert [row["update"] for row in without_times(copy)] == [0, 1, 2, 3, 4, 5]
    assert without_times(copy)[:4] == without_times(folder / "run")
    for again in (call_well("bounds", copy, "--json"), call_well("fit", "array", "--resume", "--out", copy, "--json")):
        assert again.json == called.json
    fewer = call("fit", "array", "--resume", "--updates", 4, "--out", copy)
    assert (fewer.code, fewer.out) == (2, "")
    assert "--updates: expected 5" in fewer.err


def test_data_may_move_and_are_known_by_their_digest(fitted, folder, copy, tmp_path, monkeypatch):
    described = json.loads((copy / "run.json").read_text())
    described["options"]["data"] = str(tmp_path / "gone.npy")
    (copy / "run.json").write_text(json.dumps(described))
    for command in (("bounds", copy), ("report", copy), ("compare", copy), ("fit", "array", "--resume", "--out", copy)):
        called = call(*command)
        assert (called.code, called.out) == (2, "")
        assert "say where they are now: --data FILE" in called.err
    drawn = []
    for run in (copy, folder / "run"):
        call_well("sample", run, "--num-samples", 5, "--out", tmp_path / "draws.npy")
        drawn.append(np.load(tmp_path / "draws.npy"))
    np.testing.assert_array_equal(*drawn)
    shutil.copy(folder / "x.npy", tmp_path / "moved.npy")
    for command in (("bounds", copy), ("fit", "array", "--resume", "--out", copy)):
        assert call_well(*command, "--data", tmp_path / "moved.npy", "--json").json["K"] == fitted.json["K"]
    np.save(tmp_path / "other.npy", np.zeros((60, 3)))
    called = call("bounds", copy, "--data", tmp_path / "other.npy")
    assert (called.code, called.out) == (2, "")
    assert "--data: expected the data that the run began with" in called.err


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"options": {"num_steps": 20}}, "--num-steps: expected 10"),
        ({"seed": 1}, "--seed: expected 0"),
        ({"environment": {"versions": {"jax": "0"}}}, "jax version: expected"),
    ],
)
def test_a_description_changed_by_hand_is_not_believed(copy, change, argument):
    described = json.loads((copy / "run.json").read_text())
    for name, value in change.items():
        described[name] = described[name] | value if isinstance(value, dict) else value
    (copy / "run.json").write_text(json.dumps(described))
    for command in (("bounds", copy), ("fit", "array", "--resume", "--out", copy)):
        called = call(*command)
        assert (called.code, called.out) == (2, "")
        assert argument in called.err
        assert called.err.count("\n") == 1


def test_a_terminal_that_has_gone_changes_no_exit_code(fitted, folder, monkeypatch):
    def end(*_, **__):
        raise Ended(signal.SIGHUP)

    monkeypatch.setattr(evaluating, "evaluate", end)
    monkeypatch.setattr("builtins.print", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "gone")))
    assert call("bounds", folder / "run").code == 129


def test_a_second_process_in_a_run_directory_is_refused(folder, copy):
    with runs.alone(copy):
        called = fit_array(folder, copy, "--resume")
    assert (called.code, called.out) == (2, "")
    assert called.err.startswith("dpm-ppl: --out: expected a directory in which no other process is at work")
    assert called.err.count("\n") == 1


def test_a_damaged_checkpoint_gives_way_to_the_one_before(fitted, copy):
    newest = copy / "checkpoints" / "update-000000000004.npz"
    newest.write_bytes(newest_checkpoint(copy)[:-50])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        called = call_well("bounds", copy, "--json")
    assert called.json == fitted.json
    assert called.json["num_updates_done"] == 3
    assert f"dpm-ppl: {newest} is a truncated" in called.err
    assert "going on from update-000000000003.npz" in called.err


def test_damaged_metrics_are_those_of_the_checkpoint(copy):
    rows = runs.metrics(runs.open_run(copy))
    (copy / "metrics.jsonl").write_text('{"update": 1, "lo')
    with pytest.warns(UserWarning, match=r"metrics.jsonl is damaged; its rows are read from"):
        assert runs.metrics(runs.open_run(copy)) == rows


def test_a_demo_is_not_made_inside_a_run(copy):
    called = call("demo", "--out", copy)
    assert (called.code, called.out) == (2, "")
    assert "--out: expected a directory to hold runs" in called.err


def test_the_version():
    assert call_well("--version").out == f"dpm-ppl {dpm_ppl.__version__}\n"
    assert dpm_ppl.__version__ == version("dpm-ppl")


@pytest.mark.parametrize(("encoding", "sign"), [("ascii", "+-"), ("utf-8", "±")])
def test_output_of_any_encoding_has_the_table(fitted, folder, monkeypatch, encoding, sign):
    written = io.BytesIO()
    with monkeypatch.context() as patched:
        patched.setattr(contextlib, "redirect_stdout", lambda _: contextlib.nullcontext())
        patched.setattr("sys.stdout", io.TextIOWrapper(written, encoding))
        call_well("bounds", folder / "run")
        assert f" {sign} " in written.getvalue().decode(encoding)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    for command in ("list --json", "--help"):
        pipe = f"{Path(sys.executable).with_name('dpm-ppl')} {command} | true"
        done = subprocess.run(pipe, shell=True, capture_output=True, text=True, cwd=tmp_path)
        assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fit", "digits", "--updates", "1.5"), "expected a whole number, as 1000 or 1e3, got 1.5"),
        (("fit", "digits", "--seed", "x"), "expected a whole number, as 1000 or 1e3, got x"),
        (("fit", "swissroll", "--noise", "loud"), "expected a number, got loud"),
    ],
)
def test_a_wrong_number_is_answered_without_names_of_python(arguments, says):
    called = call(*arguments)
    assert called.code == 2
    assert says in " ".join(called.err.replace("│", " ").split())
    for name in ("<class", "typing", "function", "NoneType"):
        assert name not in called.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "arrays", "--data", "x.npy"),
        ("fit", "--out", "runs/x", "--seed", "1", "arrays"),
        ("compare", "--experiment", "arrays", "--data", "x.npy"),
    ],
)
def test_a_mistyped_experiment_is_told_in_one_line(arguments):
    called = call(*arguments)
    assert (called.code, called.out, called.err.count("\n")) == (2, "", 1)
    assert f"experiment: expected one of {', '.join(EXPERIMENTS)}, got 'arrays'" in called.err


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("fit",), ("fit", "array", "--bogus", "1"), ("bounds",), ("fit", "digits", "--seed", "x")],
)
def test_usage_errors(arguments):
    called = call(*arguments)
    assert (called.code, called.out) == (2, "")
    assert "Traceback" not in called.err


def test_the_installed_command(tmp_path):
    command = [Path(sys.executable).with_name("dpm-ppl"), "bounds", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dpm-ppl: run: expected a run directory")
    assert done.stderr.count("\n") == 1
