"""Every command that README and the documentation show works as it stands, in the order of the page.

A page begins in an empty directory. Only models and their training are replaced: by laws without parameters.
"""

import dataclasses
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import Trace_ELBO

from dpm_ppl import Erasure, GaussianKernel, Program, experiments, training
from dpm_ppl.app import runs
from dpm_ppl.app.posteriors import conditioning
from dpm_ppl.models import swissroll
from dpm_ppl.training import checkpoint
from tests.command_line import call_well
from tests.instances import small

ROOT = Path(__file__).parents[2]
DEFAULTS = ("list", "demo")
"""Commands that need no argument."""


def commands(page: Path) -> list[list[str]]:
    """Commands in blocks and in the text, but those with a place to fill in, as RUN, and mere names of commands."""
    fence = r"^```\w*\n(?P<block>.*?)^```|`(?P<inline>dpm-ppl [^`]*)`"
    found = []
    for match in re.finditer(fence, page.read_text(), flags=re.DOTALL | re.MULTILINE):
        lines = [match["inline"]] if match["inline"] else match["block"].splitlines()
        found += [line for line in lines if line.startswith(("dpm-ppl ", "python -c "))]
    split = [shlex.split(line, comments=True) for line in found]
    return [
        words
        for words in split
        if (len(words) > 2 or words[1] in DEFAULTS) and not any(re.fullmatch("[A-Z]+", word) for word in words)
    ]


PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if commands(page)]


def law_of(data):
    """A law of data of this kind that has nothing to train."""
    shape = data.event_shape
    one = dist.Bernoulli(0.5) if data.units.kind == "binary" else dist.Normal(0.0, 1.0)

    def model(x_0=None, num_points=None):
        with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
            return numpyro.sample("x_0", one.expand(shape).to_event(len(shape)), obs=x_0)

    return Program(model, event_shape=shape)


def untrained_diffusion(opened):
    """A diffusion of the data of a run, for what only a diffusion can do."""
    return small(GaussianKernel(), Erasure(8, beta_1=0.01), opened.experiment.task.heldout.event_shape)


def without_training(svi, dataset, *, num_updates, checkpoint_dir, **_):
    checkpoint.save_in(checkpoint_dir, num_updates, {"nothing": jnp.zeros(())}, {})
    row = {"update": num_updates, "seconds": 1.0, "loss": 1.0, "skipped": 0, "K": -1.0, "K_se": 0.1}
    return training.FitResult(SimpleNamespace(num_updates=num_updates), {}, [row], False)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty directory to work in, where nothing is trained."""
    laws, declare = {}, experiments.declare

    def untrained(*arguments):
        declared = declare(*arguments)
        train = declared.task.train
        law = laws.setdefault((train.event_shape, train.units.kind), law_of(train))
        recipe = dataclasses.replace(declared.recipe, method=law, objective=Trace_ELBO(), start=None)
        return dataclasses.replace(declared, recipe=recipe)

    monkeypatch.setattr(swissroll, "NUM_TRAIN", 2_000)
    monkeypatch.setattr(experiments, "declare", untrained)
    monkeypatch.setattr(runs, "trained", lambda run, experiment: (experiment.recipe.method, run.num_updates))
    monkeypatch.setattr(conditioning, "diffusion_of", untrained_diffusion)
    monkeypatch.setattr(training, "fit", without_training)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")


def run_commands(page):
    for program, *arguments in commands(page):
        if program == "python":
            exec(arguments[1], {})
        else:
            call_well(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_runs_as_it_stands(page, empty):
    run_commands(page)


@pytest.mark.slow
def test_every_command_takes_data_that_are_single_numbers(empty):
    np.save("x.npy", np.random.default_rng(0).normal(size=60))
    for command in ("fit array --data x.npy", "bounds", "sample", "report", "fit array --resume"):
        call_well(*command.split(), *(["--out", "run"] if "fit" in command else ["run"]))
    assert np.load("run/samples.npy").shape == (100,)


def test_two_rows_that_begin_a_run_in_one_directory_are_found(tmp_path, empty):
    page = tmp_path / "page.md"
    page.write_text(
        "Fit it (`dpm-ppl fit RUN`):\n\n| `dpm-ppl fit heartbeat` |\n| `dpm-ppl fit heartbeat --pi 0.5` |\n"
    )
    with pytest.raises(AssertionError, match="expected a new or empty directory"):
        run_commands(page)


def test_readme_has_the_main_commands():
    shown = {words[1] for words in commands(ROOT / "README.md")}
    assert shown >= {"list", "fit", "bounds", "sample", "report", "compare"}
    assert len(PAGES) >= 4
