"""The zoo's experiments on images, on small files of the right format."""

from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from dpm_ppl import experiments, training
from dpm_ppl._common.errors import InputError
from dpm_ppl.app import runs
from dpm_ppl.data.sources.cifar import TEST, TRAIN
from dpm_ppl.data.sources.known import TEST_IMAGES, TRAIN_IMAGES
from dpm_ppl.models import EXPERIMENTS
from tests.data.sources.test_files import as_cifar, as_idx, written

RANDOM = np.random.default_rng(0)
IN_FILES = ("mnist", "fashion", "mnist-binary", "cifar10", "texture")
NAMES = (*IN_FILES, "deadleaves")
SIZES = {
    **dict.fromkeys(("mnist", "fashion", "mnist-binary"), ((28, 28), (30, 6, 5))),
    "cifar10": ((32, 32, 3), (9, 1, 4)),
    **dict.fromkeys(("texture", "deadleaves"), ((8, 8), (20, 1000, 2000))),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with the files of all of them."""
    path = tmp_path_factory.mktemp("images")
    shades = RANDOM.integers(0, 256, (41, 28, 28), dtype=np.uint8)
    written(path, {TRAIN_IMAGES: as_idx(shades[:36]), TEST_IMAGES: as_idx(shades[36:])})
    colours = RANDOM.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    written(path, {name: as_cifar(colours) for name in TRAIN} | {TEST[0]: as_cifar(np.tile(colours, (2, 1, 1, 1)))})
    Image.fromarray(RANDOM.integers(0, 256, (40, 200), dtype=np.uint8)).save(path / "texture.png")
    return path


@pytest.fixture(scope="session")
def declared(folder):
    @lru_cache
    def declare(name, variant="default"):
        return experiments.declare(EXPERIMENTS, name, options(name, folder) | {"variant": variant, "num_steps": 7})

    return declare


def options(name, folder):
    given = {"data_folder": folder} if name in IN_FILES else {}
    return given | ({"patch": 8, "num_train": 20} if name in ("texture", "deadleaves") else {})


@pytest.mark.parametrize(
    ("name", "variant"), [*((name, "default") for name in NAMES), ("mnist", "paper"), ("mnist-binary", "paper")]
)
def test_declaration(name, variant, declared):
    experiment = declared(name, variant)
    task, method = experiment.task, experiment.recipe.method
    shape, sizes = SIZES[name]
    assert (experiment.name, method.num_steps, method.event_shape) == (name, 7, shape)
    parts = task.train, task.validation, task.heldout
    assert tuple(part.num_points for part in parts) == sizes
    kinds = {(part.units.kind, part.units.num_levels, float(part.units.scale)) for part in parts}
    assert len(kinds) == 1
    assert kinds.pop()[:2] == (("binary", None) if name == "mnist-binary" else ("levels", 256))
    assert task.unit == "bits/image"
    assert (task.redrawn is not None) == (name in ("mnist-binary", "cifar10"))
    assert task.batches.num_points == sizes[0]
    np.testing.assert_allclose(method.steps.alpha_bar[-1], 0, atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_scales_are_pooled_over_the_whole_training_part(name, declared):
    train = declared(name).task.train
    if name == "mnist-binary":
        return
    values = np.asarray(train.source, float) + 0.5
    assert float(train.units.shift) == pytest.approx(values.mean(), rel=1e-12)
    assert float(train.units.scale) == pytest.approx(np.sqrt(values.var() + 1 / 12), rel=1e-12)
    assert train.log_det == pytest.approx(-values[0].size * np.log(train.units.scale), rel=1e-12)


def test_parts_are_those_of_the_files(declared):
    task = declared("mnist").task
    shades = np.random.default_rng(0).integers(0, 256, (41, 28, 28), dtype=np.uint8)
    for part, expected in ((task.train, shades[:30]), (task.validation, shades[30:36]), (task.heldout, shades[36:])):
        np.testing.assert_array_equal(part.source, expected)


def test_a_seed_draws_leaves_patches_and_bits(declared, folder):
    for name in ("deadleaves", "texture", "mnist-binary"):
        first, other = declared(name).task, EXPERIMENTS[name](**options(name, folder)).task(1)
        assert not np.array_equal(first.heldout.source, other.heldout.source)
    bits, shades = declared("mnist-binary").task, declared("mnist").task
    assert np.corrcoef(np.ravel(bits.heldout.source), np.ravel(shades.heldout.source))[0, 1] > 0.5
    np.testing.assert_array_equal(bits.redrawn.source, shades.train.source)


@pytest.mark.parametrize("name", ["mnist-binary", "mnist"])
def test_training_sees_what_is_redrawn(name, declared, tmp_path, monkeypatch):
    seen = []

    def fit(svi, dataset, **_):
        seen.append(dataset)
        return training.FitResult(None, {}, [], False)

    monkeypatch.setattr(training, "fit", fit)
    experiment = declared(name)
    runs.fit(runs.create(tmp_path / "run", experiment, num_updates=1), experiment)
    assert seen == [experiment.task.redrawn or experiment.task.train]


def test_patches_need_a_folder_and_sizes_a_range():
    for name, asked, message in (
        ("texture", {}, "data_folder: expected a folder of pictures, got none"),
        ("deadleaves", {"patch": 1}, "--patch: expected at least 2"),
        ("deadleaves", {"least_radius": 70.0}, "--least-radius: .*at most 64"),
    ):
        with pytest.raises(InputError, match=message):
            experiments.declare(EXPERIMENTS, name, asked)


@pytest.mark.parametrize(("name", "steps"), [("texture", 500), ("deadleaves", 1000)])
def test_the_papers_steps(name, steps, folder):
    experiment = experiments.declare(EXPERIMENTS, name, options(name, folder) | {"variant": "paper"})
    assert experiment.recipe.method.num_steps == experiment.options.num_steps == steps
