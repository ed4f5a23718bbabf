"""`dpm-ppl compare` and `dpm-ppl report`, on runs of a few updates, up to the page in a browser."""

import json
import shlex
import shutil
import sys
from datetime import datetime
from pathlib import Path

import arviz as az
import jinja2
import numpy as np
import pytest

from dpm_ppl import experiments
from dpm_ppl.analysis.page import page
from dpm_ppl.analysis.tree import files
from dpm_ppl.analysis.tree.tree import held_out_elpd, load
from dpm_ppl.app import comparing, evaluating
from dpm_ppl.app.comparing import declare_all, open_all
from dpm_ppl.app.pages.settings import settings
from dpm_ppl.app.pages.writing import default_folder
from dpm_ppl.app.runs import metrics, open_run
from dpm_ppl.experiments.options import flag
from dpm_ppl.models import EXPERIMENTS
from tests.browser import chromium
from tests.command_line import call, call_well

NAMES = ("diffusion", "vae", "gaussian")
FEW = ("--num-particles", 40, "--num-points", 8)
SEED = ("--seed", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(120, 2)))
    np.save(folder / "bits.npy", np.random.default_rng(1).integers(0, 2, size=(100, 4)))
    return folder


def of_array(folder, file="x", kernel="gaussian"):
    return "--experiment", "array", "--data", folder / f"{file}.npy", "--kernel", kernel, "--updates", 2


@pytest.fixture(scope="module")
def compared(folder):
    """Three methods, fitted and compared by one command."""
    called = call("compare", *of_array(folder), *SEED, "--methods", *NAMES, *FEW, "--out", folder / "all", "--json")
    assert called.code == 0, called.err
    return called.json


@pytest.fixture(scope="module")
def of_bits(folder):
    """All methods that can model bits, of three that are quick to compile; the diffusion is not among them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(comparing, "DIFFUSION", "mixture")
        patched.setattr(comparing, "METHODS", ("flow", "gaussian"))
        return call("compare", *of_array(folder, "bits", "bernoulli"), *FEW, "--out", folder / "bits", "--json")


@pytest.fixture(scope="module")
def reported(folder, compared):
    return call_well("report", folder / "all" / "diffusion", *FEW, "--json").json


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def test_one_command_fits_and_compares(folder, compared):
    assert sorted(compared["order"]) == sorted(NAMES)
    assert {row["method"] for row in compared["figures"]} == set(NAMES)
    assert all(row["se"] > 0 for row in compared["figures"] if row["figure"] != "cumulant, no bound")
    for name in NAMES:
        run = open_run(folder / "all" / name)
        assert run.options.get("method") == name
        assert run.seed == 3
        assert metrics(run)[-1]["update"] == 2
    ladder = [row for row in compared["figures"] if (row["method"], row["figure"]) == ("vae", "importance-weighted")]
    assert [row["num_particles"] for row in ladder] == [1, 2, 4, 8, 16, 32, 40]


def test_the_same_command_fits_nothing_again(folder, compared):
    before = {path: path.stat().st_mtime_ns for path in (folder / "all").rglob("checkpoints/*")}
    again = call_well(
        "compare", *of_array(folder), *SEED, "--methods", *NAMES, *FEW, "--out", folder / "all", "--json"
    ).json
    assert again == compared
    assert {path: path.stat().st_mtime_ns for path in (folder / "all").rglob("checkpoints/*")} == before


def test_runs_are_compared_by_their_directories(folder, compared):
    runs = [folder / "all" / name for name in NAMES]
    called = call_well("compare", *runs, *FEW, "--out", folder / "again")
    for name in NAMES:
        assert name in called.out
    assert "paired" in called.out
    assert "±" in called.out
    figures = call_well("compare", *runs, *FEW, "--out", folder / "again", "--json").json
    assert {**figures, "page": None} == {**compared, "page": None}


def test_other_methods_are_fitted_to_the_data_of_the_run(folder, compared):
    arguments = ("--experiment", "array", "--methods", "gaussian", "--updates", 2, *FEW, "--out", folder / "like")
    again = call_well("compare", folder / "all" / "vae", *arguments, "--json").json
    made = [open_run(folder / where / "gaussian") for where in ("like", "all")]
    assert made[0].options == made[1].options
    assert made[0].seed == made[1].seed == 3
    figures = [[row for row in one["figures"] if row["method"] == "gaussian"] for one in (again, compared)]
    assert figures[0] == figures[1]


def test_a_comparison_has_a_directory_of_its_own_by_default():
    folders = [
        default_folder(Path("runs/iris"), "array", {"data": "/tables/iris.csv"}),
        default_folder(Path("runs/iris-2"), None, {}),
        default_folder(None, "array", {"data": "/tables/wine.v2.csv"}),
        default_folder(None, "swissroll", {"noise": 0.5}),
    ]
    assert [str(one) for one in folders] == [
        f"runs/compare-{name}" for name in ("iris", "iris-2", "wine.v2", "swissroll")
    ]


def test_methods_that_cannot_model_the_data_are_left_out(folder, of_bits, capsys):
    assert of_bits.code == 0, of_bits.err
    assert "flow is left out" in of_bits.err
    assert set(of_bits.json["order"]) == {"mixture", "gaussian"}
    declared = declare_all("array", [], {"data": folder / "bits.npy", "kernel": "bernoulli"}, 0)
    assert set(declared) == {"diffusion", "vae", "iwae", "hvae", "mixture", "gaussian"}
    assert "flow is left out" in capsys.readouterr().err


@pytest.mark.slow
def test_all_other_methods_are_compared_on_bits(folder):
    called = call("compare", *of_array(folder, "bits", "bernoulli"), *FEW, "--out", folder / "every", "--json")
    assert called.code == 0, called.err
    assert "flow is left out" in called.err
    assert {"diffusion", "vae", "iwae", "hvae", "mixture", "gaussian"} == set(called.json["order"])


def test_the_page_of_a_comparison_in_a_browser(compared, browser):
    seen = browser.open(Path(compared["page"]))
    assert seen.problems == []
    assert len(seen.tables) >= 3
    assert all(width > 0 for _, width in seen.pictures)
    assert len(seen.pictures) >= 2 + len(NAMES)
    assert seen.requests == []
    text = json.dumps(seen.tables, ensure_ascii=False)
    for name in NAMES:
        assert name in text
    assert "<h1>x.npy: 3 methods compared</h1>" in seen.html
    assert seen.pictures[0][0].startswith("Figures of")  # which method is best comes first
    assert browser.open(Path(compared["page"]), width=400).overflow == 0


def test_the_report_of_a_run_in_a_browser(reported, browser):
    seen = browser.open(Path(reported["page"]))
    assert seen.problems == []
    assert all(width > 0 for _, width in seen.pictures)
    for heading in ("How good is the fit?", "Draws", "The chain, step by step", "Training", "Configuration"):
        assert heading in seen.html
    assert "<h1>x.npy: report of the diffusion</h1>" in seen.html
    assert seen.pictures[0][0] == "Figures of diffusion"


def test_the_settings_say_how_the_run_came_about(folder, compared):
    (trained,) = open_all([folder / "all" / "diffusion"]).values()
    values = settings(trained).values
    assert values["learning rate"] == 1e-3
    assert values["network"].startswith("GaussianNetwork, ")
    assert datetime.fromisoformat(values["date"]) <= datetime.now()
    program, command, experiment, *words = shlex.split(values["command"])
    assert (program, command, experiment) == ("dpm-ppl", "fit", "array")
    given = dict(zip(words[::2], words[1::2], strict=True))
    names = {flag(name): name for name in trained.run.options}
    texts = {names[one]: value for one, value in given.items() if one in names}
    options = {name: type(trained.run.options[name])(value) for name, value in texts.items()}
    again = experiments.declare(EXPERIMENTS, "array", options, int(given["--seed"]))
    assert again.options.recorded() == trained.run.options
    assert given["--updates"] == "2"


def test_the_tree_of_a_report_is_what_was_measured(folder, reported):
    tree = load(reported["tree"])
    figures = {row["figure"]: row for row in reported["figures"] if row.get("num_particles", 40) == 40}
    assert tree.attrs["option_num_steps"] == 1000
    assert tree.attrs["seed"] == 3
    K = tree["observed_data"]["K"].values
    assert figures["K"]["value"] == pytest.approx(K.mean() / np.log(2))
    assert tree["weights"].sizes["datum"] == 8
    assert tree["bound"].sizes["step"] == 999
    elpd = held_out_elpd(tree, khat=tree["weights"]["khat"].values)
    assert elpd.elpd == pytest.approx(tree["weights"]["log_likelihood"].values.sum())
    assert az.summary(tree, group="prior_predictive").shape[0] == 2
    shown = az.plot_dist(tree, group="prior_predictive", backend="none")
    assert shown.viz["dist"]["x_0"].size == 2


def test_arviz_compares_two_reports(folder, reported):
    more = ("--num-particles", 256, "--num-points", 8, "--out", folder / "vae.html", "--json")
    other = call_well("report", folder / "all" / "vae", *more).json
    assert "Histogram of log-weights" in (folder / "vae.html").read_text()
    elpds = {name: held_out_elpd(load(one["tree"])) for name, one in (("diffusion", reported), ("vae", other))}
    table = az.compare(elpds)
    values = {name: elpd.elpd for name, elpd in elpds.items()}
    assert table.index[0] == max(values, key=values.get)


@pytest.mark.parametrize("package", ["jinja2", "h5netcdf"])
def test_a_missing_extra_is_noticed_before_any_measurement(package, folder, compared, monkeypatch, unchecked):
    monkeypatch.setitem(sys.modules, "jinja2", None if package == "jinja2" else jinja2)
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == package else name)
    monkeypatch.setattr(evaluating, "evaluate", lambda *_, **__: pytest.fail("it was measured"))
    page._template.cache_clear()
    for command in ("report", "compare")[: 2 if package == "jinja2" else 1]:
        called = call(command, folder / "all" / "vae")
        assert (called.code, called.out) == (2, "")
        assert f"no {package}" in called.err.replace("no such package", "no jinja2")
        assert "pip install 'dpm-ppl[analysis]'" in called.err
        assert called.err.count("\n") == 1


def spoil(folder):
    copied = shutil.copytree(folder / "all" / "vae", folder / "spoilt")
    shutil.rmtree(copied / "checkpoints")
    return copied


BAD = {
    "nothing": (lambda folder: ("compare",), "runs: expected run directories, or --experiment"),
    "methods of no experiment": (lambda folder: ("compare", folder / "all/vae", "--methods", "vae"), "--experiment"),
    "an unknown method": (
        lambda folder: ("compare", *of_array(folder), "--methods", "gan", "--out", folder / "none"),
        "expected one of",
    ),
    "a method that does not fit": (
        lambda folder: ("compare", *of_array(folder, "bits", "bernoulli"), "--methods", "flow", "--out", folder / "no"),
        "for flow",
    ),
    "other data": (
        lambda folder: ("compare", folder / "all/vae", folder / "bits/gaussian"),
        "data are others",
    ),
    "data of another seed": (
        lambda folder: ("compare", folder / "all/vae", "--experiment", "array", "--seed", 4, "--out", folder / "seed"),
        "data are others",
    ),
    "a seed for no fit": (lambda folder: ("compare", folder / "all/vae", "--seed", 4), "--experiment"),
    "no run": (lambda folder: ("compare", folder), "expected a run directory"),
    "other settings": (
        lambda folder: ("compare", *of_array(folder)[:-1], 5, *SEED, "--methods", "vae", "--out", folder / "all"),
        "--updates",
    ),
    "no checkpoint": (lambda folder: ("compare", spoil(folder)), "checkpoint"),
    "too few particles": (lambda folder: ("report", folder / "all/vae", "--num-particles", 0), "--num-particles"),
    "too many data": (lambda folder: ("report", folder / "all/vae", "--num-points", 99), "--num-points"),
    "a page elsewhere": (lambda folder: ("report", folder / "all/vae", "--out", folder / "no/x.html"), "--out"),
    "a diffusion's option": (
        lambda folder: ("fit", "swissroll", "--method", "vae", "--edge", "learned", "--out", folder / "e"),
        "--edge: expected none with --method vae",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_goes_wrong_is_one_line(case, folder, compared, of_bits, unchecked):
    arguments, message = BAD[case]
    called = call(*arguments(folder))
    assert (called.code, called.out) == (2, "")
    assert message in called.err
    assert len(called.err.splitlines()) == 1
