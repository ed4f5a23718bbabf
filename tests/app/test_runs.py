import json
import math
from dataclasses import replace

import jax
import numpy as np
import pytest

from dpm_ppl import experiments, training
from dpm_ppl._common.errors import InputError
from dpm_ppl.app import runs
from dpm_ppl.app.evaluating import evaluate_run
from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.models.array import Array
from dpm_ppl.models.methods import mixture
from dpm_ppl.training import checkpoint
from tests.tiny import flat


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(30, 2)))
    return Array(data=path, kernel="gaussian", num_steps=5).experiment(4)


ZOO = {"array": Array}


def test_what_a_run_records_is_no_option_of_the_user():
    names = [option.name for option in Array.all()]
    assert names[:6] == ["method", "data", "test_data", "kernel", "levels", "scale"]
    assert not {"seed", "digest"} & set(names)
    with pytest.raises(InputError) as caught:
        experiments.declare(ZOO, "array", {"noise": 0.3})
    assert "--num-steps" in str(caught.value)
    assert "digest" not in str(caught.value)


def test_a_run_is_read_back_as_it_was_made(experiment, tmp_path):
    made = runs.create(tmp_path / "deep" / "run", experiment, num_updates=7)
    read = runs.open_run(made.path)
    assert read == made
    assert (read.experiment, read.seed, read.num_updates) == ("array", 4, 7)
    assert read.environment["versions"]["jax"] == jax.__version__
    again = read.declare(ZOO)
    assert again.options == experiment.options
    np.testing.assert_array_equal(again.task.heldout.source, experiment.task.heldout.source)
    assert [path.name for path in made.path.iterdir()] == ["run.json"]


def test_an_empty_directory_may_be_used(experiment, tmp_path):
    assert runs.create(tmp_path, experiment, num_updates=1).path == tmp_path


def test_a_directory_that_holds_something_is_left_as_it_is(experiment, tmp_path):
    runs.create(tmp_path, experiment, num_updates=1)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(InputError, match=r"--out: expected a new or empty directory, got .* another run; .*--resume"):
        runs.create(tmp_path, experiment, num_updates=1)
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    "asked", [{}, {"experiment": "array"}, {"seed": 4, "updates": 7, "edge": "fixed", "levels": None}]
)
def test_a_run_continues_with_what_it_began_with(experiment, tmp_path, asked):
    runs.check_continues(runs.create(tmp_path, experiment, num_updates=7), **asked)


def test_a_run_that_ended_early_says_so_and_may_go_on(experiment, tmp_path):
    run = runs.create(tmp_path, experiment, num_updates=10, patience=2)
    ended = runs.ended(run, 7)
    assert (ended.num_updates, ended.num_scheduled, ended.patience, ended.standing(7)) == (7, 10, 2, "")
    assert runs.open_run(tmp_path) == ended
    assert runs.extended(ended, 10).num_updates == 10


def test_patience_needs_validation_data(experiment, tmp_path):
    other = Array(data=experiment.options.data, kernel="gaussian", num_steps=5, validation_share=0.0).experiment()
    for found, patience, message in ((other, 2, "an experiment with validation data, got array"), (experiment, 0, "1")):
        with pytest.raises(InputError, match=f"--patience: expected .*{message}"):
            runs.create(tmp_path / "run", found, num_updates=10, patience=patience)
    assert not (tmp_path / "run").exists()


def test_a_mixture_is_the_same_however_the_clustering_comes_out_later(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(300, 2)) ** 3)
    options = {"data": tmp_path / "x.npy", "kernel": "gaussian", "method": "mixture"}
    made = experiments.declare(ZOO, "array", options, 3)
    run = runs.create(tmp_path / "run", made, num_updates=3)
    runs.fit(run, made, progress=False)
    found = mixture.clusters
    monkeypatch.setattr(mixture, "clusters", lambda values, most, seed: found(values, most, seed)[::-1])
    opened = runs.open_run(run.path)
    again = opened.declare(ZOO)
    kept, num_updates = runs.trained(opened, again)
    scores = [
        evaluate_run(OpenedRun(run, made, method, num_updates)).scores.K_values
        for method in (runs.trained(run, made)[0], kept)
    ]
    np.testing.assert_array_equal(*scores)
    found_now = training.init(again.recipe.svi(), jax.random.key(0), again.task.train.rows(np.arange(2))).params
    assert not np.array_equal(found_now["start_loc"], kept.params["start_loc"])


def test_metrics_are_valid_json_whatever_the_figures(experiment, tmp_path, monkeypatch):
    rows = [{"update": 1, "seconds": 0.5, "loss": math.nan, "skipped": 1, "K": -math.inf}, {"update": 2, "loss": 1.0}]
    result = training.FitResult(None, {}, rows, False)
    monkeypatch.setattr(training, "fit", lambda *_, on_metrics, **__: on_metrics(rows) or result)
    run = runs.create(tmp_path, experiment, num_updates=2)
    runs.fit(run, experiment)
    read = [
        json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    assert read == [{**rows[0], "loss": None, "K": None}, rows[1]]


def test_a_run_is_scored_with_the_averaged_parameters_of_its_newest_checkpoint(experiment, tmp_path):
    run = runs.create(tmp_path, experiment, num_updates=4)
    with pytest.raises(InputError, match="expected a run with a checkpoint"):
        runs.trained(run, experiment)
    result = runs.fit(run, experiment, progress=False)
    newest = checkpoint.latest(run.checkpoints)
    assert newest is not None
    expected = experiment.recipe.method.with_params(result.params)
    np.testing.assert_array_equal(flat(runs.trained(run, experiment)[0]), flat(expected))
    task = experiment.task
    others = replace(experiment, task=replace(task, train=task.train.part(slice(1, None))))
    with pytest.raises(InputError, match=r"run: expected training data as .* got others in .*; fit it again"):
        runs.trained(run, others)
    # Every evaluation looks at the same few data with the same noise, so what they show is progress alone.
    assert [row["update"] for row in result.metrics] == [0, 1, 2, 3, 4]
    best = max(row["K"] for row in result.metrics)
    assert best == pytest.approx(runs._evaluation(experiment, 4)(result.params)["K"], rel=1e-6)


def test_the_number_of_draws_may_be_chosen(experiment, tmp_path):
    run = runs.create(tmp_path, experiment, num_updates=4)
    opened = OpenedRun(run, experiment, experiment.recipe.method, 0)
    assert evaluate_run(opened).scores.num_draws == experiment.task.num_draws
    scores = evaluate_run(opened, num_draws=1).scores
    assert (scores.num_draws, scores.num_points) == (1, experiment.task.heldout.num_points)


def test_a_test_file_that_has_moved_is_found_beside_the_data(tmp_path):
    before, now = tmp_path / "before", tmp_path / "now"
    before.mkdir()
    for name in ("x.npy", "test.npy"):
        np.save(before / name, np.random.default_rng(len(name)).normal(size=(30, 2)))
    first = Array(data=before / "x.npy", test_data=before / "test.npy", num_steps=5, width=4, depth=1).experiment()
    run = runs.create(tmp_path / "run", first, num_updates=1)
    before.rename(now)
    with pytest.raises(InputError, match=r"--data: .* no such file; say where .* with a test file beside it"):
        run.declare(ZOO)
    again = run.declare(ZOO, now / "x.npy")
    np.testing.assert_array_equal(again.task.heldout.source, first.task.heldout.source)
