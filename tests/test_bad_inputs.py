"""Bad input, from Python and from the command line: one line with argument, expectation and remedy, before any work."""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas
import pytest
from numpyro.infer import SVI

import dpm_ppl as dpm
from dpm_ppl.app import runs
from dpm_ppl.data.dataset import load_array
from dpm_ppl.diffusion import diffusion
from dpm_ppl.models import heartbeats
from dpm_ppl.training import checkpoint, loop
from tests.command_line import call
from tests.instances import small

KEY = jax.random.key(0)
REAL = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
MASKED = np.ma.masked_equal(np.where(np.arange(40).reshape(20, 2) == 3, -999.0, REAL), -999.0)


class Bad(NamedTuple):
    """A call, or a command line in which {here} stands for a folder; and parts of the one line it answers with."""

    act: Callable[[], Any] | str
    argument: str
    expected: str
    got: str = ""


def with_entry(value, values=REAL):
    values = values.copy()
    values[3, 1] = value
    return values


def gaussian():
    return small(dpm.GaussianKernel(), dpm.Erasure(4, beta_1=0.01))


def bits():
    return small(dpm.BernoulliKernel(), dpm.Erasure(4))


def score_by(diffusion, x_0):
    return dpm.bound(diffusion(), x_0, KEY)


def fit_by(diffusion, x_0):
    chains = (partial(chain, diffusion()) for chain in (dpm.reverse_chain, dpm.forward_chain))
    svi = SVI(*chains, optax.adam(1e-3), loss=dpm.DiffusionELBO())
    return dpm.fit(svi, x_0, num_updates=3, batch_size=4, key=KEY, progress=False)


def network(event_shape=(2,), num_outputs=2):
    return dpm.TimeMLP(event_shape, num_outputs, 4, width=4, depth=1, key=KEY)


def diffusion_with(net, kernel=None):
    return dpm.Diffusion(kernel or dpm.GaussianKernel(), dpm.Erasure(4), net, (2,))


LEVELS = dpm.level_network(network(num_outputs=3), np.zeros((5, 2), int), 3, shift=1.5, scale=1.0)
FIT = "fit array --data {here}/good.npy --kernel gaussian --num-steps 4 --updates 1 --out {here}/new"
ARRAY = "fit array --kernel gaussian --out {here}/new --data {here}/"
HEART = "fit heartbeat --num-steps 4 --out {here}/new"

CASES = {
    # Data.
    "NaN": Bad(lambda: dpm.Dataset.from_continuous(with_entry(np.nan)), "values", "finite", r"nan at index \(3, 1\)"),
    "infinity": Bad(lambda: dpm.Dataset.from_continuous(with_entry(np.inf)), "values", "finite", "inf"),
    "NaN to score": Bad(lambda: score_by(gaussian, with_entry(np.nan)), "x_0", "finite", r"first at index \(3, 1\)"),
    "infinity to score": Bad(lambda: score_by(gaussian, with_entry(-np.inf)), "x_0", "finite", "1 NaN or infinite"),
    "NaN to fit": Bad(lambda: fit_by(gaussian, with_entry(np.nan)), "dataset", "finite"),
    "NaN in a file": Bad(ARRAY + "nan.npy", "--data", "finite", r"nan at index \(3, 1\)"),
    "infinity in a file": Bad(ARRAY + "inf.npy", "--data", "finite", "inf"),
    "event shape to score": Bad(lambda: score_by(gaussian, REAL[:, :1]), "x_0", r"event shape \(2,\)", r"\(20, 1\)"),
    "event shape to fit": Bad(lambda: fit_by(gaussian, np.ones((20, 3))), "x_0", r"event shape \(2,\)", "3"),
    "no event axis": Bad(lambda: score_by(gaussian, REAL[:, 0]), "x_0", r"event shape \(2,\)", r"\(20,\)"),
    "no data": Bad(lambda: score_by(gaussian, REAL[:0]), "x_0", "at least one datum", "none"),
    "complex": Bad(lambda: score_by(gaussian, REAL + 1j), "x_0", "real numbers", "complex64"),
    "text": Bad(lambda: dpm.Dataset.from_continuous(np.array(["a", "b"])), "values", "real numbers", "<U1"),
    "complex in a file": Bad(ARRAY + "complex.npy", "--data", "real numbers", "complex128"),
    "text in a file": Bad(ARRAY + "strings.npy", "--data", "real numbers", "<U1"),
    "a number in a file": Bad(ARRAY + "number.npy", "--data", "at least one datum", r"shape \(\)"),
    "one datum in a file": Bad(
        "fit array --kernel bernoulli --out {here}/new --data {here}/one.npy", "--data", "at least 20 data", "1"
    ),
    "constant file": Bad(ARRAY + "constant.npy", "--data", "data that vary", "throughout columns 0 and 1"),
    "not bits": Bad(lambda: dpm.Dataset.from_binary(REAL), "values", "bits", "40 other entries"),
    "not bits to score": Bad(lambda: score_by(bits, REAL), "x_0", "bits, 0 or 1, for a Bernoulli kernel", "40 other"),
    "not bits in a file": Bad(
        "fit array --kernel bernoulli --out {here}/new --data {here}/good.npy", "--data", "bits, 0 or 1", "40 other"
    ),
    "not levels in a file": Bad(ARRAY + "good.npy --levels 5", "--data", "whole numbers 0 ... 4", "40 other"),
    "one level": Bad(ARRAY + "bits.npy --levels 1", "--levels", "at least 2", "1"),
    "levels of bits": Bad(
        "fit array --kernel bernoulli --levels 2 --out {here}/new --data {here}/bits.npy", "--levels", "none with bits"
    ),
    "no file": Bad(lambda: load_array("absent.npy"), "data", "a .npy file", "no file absent.npy"),
    "no such --data": Bad(ARRAY + "absent.npy", "--data", "a .npy file", "no file .*absent.npy"),
    "no --data": Bad("fit array --kernel gaussian --out {here}/new", "--data", "a file of data", "none"),
    "a --data of text": Bad(ARRAY + "text.npy", "--data", "a .npy file of numbers", "text.npy"),
    "a truncated --data": Bad(ARRAY + "truncated.npy", "--data", "a .npy file of numbers", "truncated.npy"),
    "masked": Bad(lambda: dpm.Dataset.from_continuous(MASKED), "values", "without gaps", "1 masked"),
    "squares beyond float64": Bad(
        lambda: dpm.Dataset.from_continuous(1e160 * REAL.astype(float)), "values", "squares", "overflows"
    ),
    "rounded to what they share": Bad(
        lambda: dpm.Dataset.from_continuous((0.05 * REAL + 1e6).astype(np.float32)), "values", "rounded", "0.0625"
    ),
    "a constant column": Bad(ARRAY + "column.npy", "--data", "vary in every coordinate", "throughout column 2"),
    "another scale": Bad(ARRAY + "good.npy --scale robust", "--scale", "columns or pooled", "robust"),
    "a scale of levels": Bad(ARRAY + "bits.npy --levels 2 --scale pooled", "--scale", "none with bits or levels"),
    "all held out": Bad(ARRAY + "good.npy --heldout-share 0.9", "--heldout-share", "at most 0.5", "0.9"),
    "a test file of another shape": Bad(
        ARRAY + "good.npy --test-data {here}/one3.npy", "--test-data", r"event shape \(3,\)", r"shape \(2,\)"
    ),
    "missing values": Bad(ARRAY + "missing.csv", "--data", "column 'b' .* no missing", "1"),
    "dates": Bad(ARRAY + "dates.csv", "--data", "column 'day' .* numbers", "dates"),
    "names": Bad(ARRAY + "names.csv", "--data", "column 'name' .* categories", "20 in 20 rows"),
    "another table to test on": Bad(
        ARRAY + "named.csv --test-data {here}/dates.csv", "--test-data", "columns name, b", "day, b"
    ),
    # Schedules.
    "beta 0": Bad(lambda: dpm.schedules.Fixed([0.5, 0.0]), "betas", r"rates in \(0, 1\]", "t = 2"),
    "beta above 1": Bad(lambda: dpm.schedules.Fixed([0.5, 0.1, 1.5]), "betas", r"rates in \(0, 1\]", "t = 3: .*1.5"),
    "beta NaN": Bad(lambda: dpm.schedules.Fixed([np.nan, 0.5]), "betas", r"rates in \(0, 1\]", "t = 1"),
    "beta_1 negative": Bad(lambda: dpm.Erasure(10, beta_1=-0.1), "beta_1", r"rates in \(0, 1\]", "-0.1"),
    "beta_T above 1": Bad(lambda: dpm.Linear(10, beta_T=2.0), "beta_T", r"rates in \(0, 1\]", "2.0"),
    "one beta": Bad(lambda: dpm.schedules.Fixed([0.5]), "num_steps", "T from 2 to 100,000", "1"),
    "T = 1": Bad(lambda: dpm.Erasure(1), "num_steps", "T from 2 to 100,000", "1"),
    "--num-steps 100000000": Bad(
        "fit heartbeat --variant paper --out {here}/new --num-steps 100000000",
        "--num-steps",
        "2 to 100,000",
        "100000000",
    ),
    "--num-steps 1": Bad("fit heartbeat --out {here}/new --num-steps 1", "--num-steps", "T from 2 to 100,000", "1"),
    "--num-steps 0": Bad(
        "fit swissroll --out {here}/new --num-steps 0", "--num-steps", "an integer T from 2 to 100,000", "0"
    ),
    # Networks.
    "too few outputs": Bad(lambda: diffusion_with(network(num_outputs=1)), "network", r"shape \(2, 2\)", r"\(2, 1\)"),
    "too many outputs": Bad(
        lambda: diffusion_with(network(), dpm.BernoulliKernel()), "network", r"shape \(2, 1\)", r"\(2, 2\)"
    ),
    "another event shape": Bad(lambda: diffusion_with(network((3,))), "network", r"x_t of shape \(2,\)"),
    "levels for the paper's readout": Bad(
        lambda: diffusion_with(LEVELS, dpm.GaussianKernel(dpm.kernels.perturbation)),
        "network",
        "noise_prediction",
        "perturbation",
    ),
    "no network": Bad(lambda: diffusion_with(lambda x_t, step: None), "network", r"shape \(2, 2\)"),
    # Names.
    "unknown experiment": Bad(
        "fit mnits --out {here}/new", "experiment", "one of digits, .* swissroll, .* array", "'mnits'"
    ),
    "unknown edge": Bad(HEART + " --edge sharp", "--edge", "'fixed' or 'learned'", "'sharp'"),
    "unknown variant": Bad(HEART + " --variant modern", "--variant", "one of default, paper", "'modern'"),
    "unknown kernel": Bad(
        "fit array --data {here}/good.npy --kernel poisson --out {here}/new",
        "--kernel",
        "gaussian, bernoulli or categorical",
        "poisson",
    ),
    "an option it lacks": Bad(HEART + " --noise 0.1", "--noise", r"an option of heartbeat \(--method, --pi, --variant"),
    # Numbers.
    "no updates": Bad(HEART + " --updates 0", "--updates", "at least 1", "0"),
    "negative seed": Bad(HEART + " --seed -1", "--seed", "at least 0 and at most 4294967295", "-1"),
    "enormous seed": Bad(HEART + " --seed 4294967296", "--seed", "at most 4294967295", "4294967296"),
    "pi 0": Bad(HEART + " --pi 0", "--pi", "strictly between 0 and 1", "0.0"),
    "no noise": Bad("fit swissroll --out {here}/new --noise 0", "--noise", "a positive number", "0.0"),
    "no draws": Bad("bounds {here}/begun --num-draws 0", "--num-draws", "at least 1", "0"),
    "no samples": Bad("sample {here}/begun --num-samples 0", "--num-samples", "at least 1", "0"),
    # Directories.
    "out holds a run": Bad(FIT.replace("new", "begun"), "--out", "a new or empty directory", "another run"),
    "out holds other files": Bad(FIT.replace("new", "strange"), "--out", "a new or empty directory", "other files"),
    "out is a file": Bad(FIT.replace("new", "good.npy"), "--out", "a new or empty directory"),
    "out below a file": Bad(FIT.replace("new", "good.npy/new"), "--out", "a directory that can be made", "good.npy"),
    "samples out of place": Bad("sample {here}/begun --out {here}/absent/x.npy", "--out", "a directory that exists"),
    "samples of another kind": Bad("sample {here}/begun --out {here}/x.csv", "--out", "a .npy file", "x.csv"),
    "no run": Bad("bounds {here}/absent", "run", "a run directory", "no directory"),
    "no data to begin with": Bad("fit array --resume --out {here}/new", "--data", "a file of data", "none"),
    "no run to report": Bad("report {here}/absent", "run", "a run directory", "no directory"),
    "no run to sample": Bad("sample {here}/absent", "run", "a run directory", "no directory"),
    "a foreign directory": Bad("bounds {here}/strange", "run", "a run directory", "no run.json"),
    "a foreign run.json": Bad("bounds {here}/foreign", "run", "the description of a run", "damaged or foreign"),
    "a list as run.json": Bad("bounds {here}/list", "run", "the description of a run", "damaged or foreign"),
    "a run of an older version": Bad("bounds {here}/older", "run", "a run whose seed decides", "older version"),
    "a truncated run.json": Bad("bounds {here}/halved", "run", "the description of a run", "damaged or foreign"),
    "a run.json of bytes": Bad("bounds {here}/bytes", "run", "the description of a run", "damaged or foreign"),
    "a run.json of other kinds": Bad("bounds {here}/kinds", "run", "the description of a run", "damaged or foreign"),
    "an experiment that is gone": Bad("bounds {here}/gone", "experiment", "one of digits", "'atoms'"),
    "no checkpoint": Bad("bounds {here}/begun", "run", "a run with a checkpoint", "none in"),
    "a truncated checkpoint": Bad("bounds {here}/truncated", ".*/update-0*1.npz", "a whole checkpoint", "truncated"),
    "a truncated checkpoint to resume": Bad(
        "fit heartbeat --resume --out {here}/truncated", ".*/update-0*1.npz", "a whole checkpoint", "truncated"
    ),
    "a foreign checkpoint": Bad("bounds {here}/swapped", ".*/update-0*1.npz", "leaf", "leaves differ"),
    "a foreign checkpoint to resume": Bad(
        "fit heartbeat --resume --out {here}/swapped", ".*/update-0*1.npz", "leaf", "leaves differ"
    ),
    "resumed with another seed": Bad("fit heartbeat --resume --seed 3 --out {here}/begun", "--seed", "0", "3"),
    "resumed as another experiment": Bad("fit digits --resume --out {here}/begun", "experiment", "heartbeat", "digits"),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with every file and directory that the table speaks of."""
    here = tmp_path_factory.mktemp("bad")
    arrays = {
        "good": REAL,
        "nan": with_entry(np.nan),
        "inf": with_entry(np.inf),
        "complex": REAL.astype(complex),
        "strings": np.array(["a", "b"]),
        "number": np.array(1.0),
        "one": np.ones((1, 2)),
        "constant": np.ones((20, 2)),
        "column": np.c_[REAL, np.ones(20)],
        "one3": np.ones((1, 3)),
        "bits": (REAL > 0).astype(int),
    }
    for name, values in arrays.items():
        np.save(here / f"{name}.npy", values)
    days = [f"2020-01-{day:02}" for day in range(1, 21)]
    tables = {
        "missing": {"a": REAL[:, 0], "b": [None, *REAL[1:, 1]]},
        "dates": {"day": days, "b": REAL[:, 0]},
        "names": {"name": [f"name {i}" for i in range(20)], "b": REAL[:, 0]},
        "named": {"name": ["x", "y"] * 10, "b": REAL[:, 0]},
    }
    for name, columns in tables.items():
        pandas.DataFrame(columns).to_csv(here / f"{name}.csv", index=False)
    (here / "text.npy").write_text("1, 2, 3\n")
    (here / "truncated.npy").write_bytes((here / "good.npy").read_bytes()[:-20])

    heart = heartbeats.Heartbeat(num_steps=4).experiment()
    begun = runs.create(here / "begun", heart, num_updates=1)
    described = (begun.path / "run.json").read_text()
    for name, text in {
        "foreign": '{"name": "a package"}',
        "list": "[1, 2]",
        "halved": described[: len(described) // 2],
        "older": described.replace('"dpm-ppl run 2"', '"dpm-ppl run"'),
        "kinds": json.dumps(json.loads(described) | {"seed": "zero"}),
        "gone": described.replace('"heartbeat"', '"atoms"'),
        "truncated": described,
        "swapped": described,
    }.items():
        (here / name).mkdir()
        (here / name / "run.json").write_text(text)
    (here / "bytes").mkdir()
    (here / "bytes" / "run.json").write_bytes(b"\xff\xfe\x00\x80")
    (here / "strange").mkdir()
    (here / "strange" / "notes.txt").touch()
    for name in ("swapped", "truncated"):
        path = checkpoint.save_in(here / name / "checkpoints", 1, {"other": jnp.ones(3)}, {})
    path.write_bytes(path.read_bytes()[:100])
    return here


NAMES_OF_PYTHON = re.compile(
    r"[A-Za-z_]\(|\w=\w|^dpm-ppl: \w*_|\b(dpm_ppl|Dataset|numpy|jax|optax|numpyro)\.|<class|NoneType"
)


def works(*_, **__):
    pytest.fail("the work began")


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_answered_in_one_line_before_any_work(name, here, unchecked, monkeypatch):
    bad = CASES[name]
    monkeypatch.chdir(here)
    monkeypatch.setattr(loop, "chunk_program", works)
    monkeypatch.setattr(diffusion, "scored", works)
    if isinstance(bad.act, str):
        called = call(*bad.act.format(here=here).split())
        assert (called.code, called.out) == (2, "")
        assert not NAMES_OF_PYTHON.search(called.err.replace(str(here), ""))
        message = called.err.removeprefix("dpm-ppl: ").removesuffix("\n")
    else:
        with pytest.raises(dpm.InputError) as caught:
            bad.act()
        message = str(caught.value)
    assert "\n" not in message
    assert re.fullmatch(rf"{bad.argument}: expected .*{bad.expected}.*, got .*{bad.got}.*; .+", message), message
    assert not (here / "new").exists()
