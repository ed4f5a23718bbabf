import dataclasses
import json
import re

import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from dpm_ppl import training
from dpm_ppl._common.errors import InputError
from dpm_ppl.data.rows import read
from dpm_ppl.evaluation.scores import score
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.models.array import Array

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "gaussian": (GENERATOR.normal(3.0, 2.0, size=(50, 2, 3)), {"kernel": "gaussian"}, "continuous"),
    "levels": (GENERATOR.integers(0, 4, size=(50, 3)), {"kernel": "gaussian", "levels": 4}, "levels"),
    "whole levels": (GENERATOR.integers(0, 4, size=(50, 3)), {"kernel": "categorical", "levels": 4}, "levels"),
    "bernoulli": (GENERATOR.integers(0, 2, size=(50, 5)), {"kernel": "bernoulli"}, "binary"),
}


def known(experiment):
    """All that is not held out."""
    return np.concatenate([experiment.task.train.source, experiment.task.validation.source])


def declared(seed=0, **options):
    return Array(**options).experiment(seed)


def saved(folder, values):
    np.save(folder / "x.npy", values)
    return folder / "x.npy"


@pytest.mark.parametrize("name", ARRAYS)
def test_a_tenth_is_held_out_and_a_tenth_of_the_rest_chooses(name, tmp_path):
    values, options, kind = ARRAYS[name]
    experiment = declared(data=saved(tmp_path, values), num_steps=5, **options)
    train, heldout = experiment.task.train, experiment.task.heldout
    validation = experiment.task.validation
    assert (train.num_points, validation.num_points, heldout.num_points) == (41, 4, 5)
    assert (train.units.kind, heldout.units.kind) == (kind, kind)
    assert experiment.recipe.method.event_shape == values.shape[1:]
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train.source, validation.source, heldout.source]), axis=0), np.sort(values, axis=0)
    )
    if kind != "binary":
        assert heldout.units is train.units


@pytest.mark.parametrize("name", ARRAYS)
def test_its_options_declare_it_again(name, tmp_path):
    values, options, _ = ARRAYS[name]
    first = declared(data=saved(tmp_path, values), num_steps=5, edge="learned", **options)
    again = first.options.experiment()
    assert again.options == first.options
    assert again.recipe.method.edge == "learned"
    np.testing.assert_array_equal(again.task.heldout.source, first.task.heldout.source)


@pytest.mark.parametrize(("fill", "rate"), [(0, 0.02), (1, 0.98), (None, None)])
def test_noise_bits_have_the_activity_of_the_data(fill, rate, tmp_path):
    values = ARRAYS["bernoulli"][0] if fill is None else np.full((50, 5), fill)
    experiment = declared(data=saved(tmp_path, values), kernel="bernoulli", num_steps=5)
    kernel = experiment.recipe.method.kernel
    assert isinstance(kernel, BernoulliKernel)
    assert kernel.pi == pytest.approx(known(experiment).mean() if rate is None else rate)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_seed_decides_what_is_held_out(name, tmp_path):
    values, options, _ = ARRAYS[name]
    path = saved(tmp_path, values)
    first, again, other = (declared(data=path, num_steps=5, seed=seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(again.task.heldout.source, first.task.heldout.source)
    assert not np.array_equal(other.task.heldout.source, first.task.heldout.source)


def test_noise_bits_have_the_rate_that_was_recorded(tmp_path):
    path = saved(tmp_path, ARRAYS["bernoulli"][0])
    found = declared(data=path, kernel="bernoulli", num_steps=5)
    assert found.options.pi == found.recipe.method.kernel.pi
    asked = declared(data=path, kernel="bernoulli", num_steps=5, pi=0.3)
    assert asked.options.pi == asked.recipe.method.kernel.pi == 0.3
    with pytest.raises(InputError, match="--pi: expected none with the gaussian kernel"):
        declared(data=path, kernel="gaussian", num_steps=5, pi=0.3)


def test_other_data_are_not_taken_for_those_of_a_run(tmp_path):
    path = saved(tmp_path, ARRAYS["gaussian"][0])
    options = declared(data=path, kernel="gaussian", num_steps=5).options
    saved(tmp_path, ARRAYS["gaussian"][0] + 1)
    with pytest.raises(
        InputError, match=f"--data: expected the data that the run began with, got {re.escape(str(path))}"
    ):
        options.experiment()


def test_an_error_names_the_place_in_the_file(tmp_path):
    values = ARRAYS["gaussian"][0].copy()
    values[17, 1, 2] = np.inf
    with pytest.raises(InputError, match=r"--data: expected finite numbers, got .* inf at index \(17, 1, 2\)"):
        declared(data=saved(tmp_path, values), kernel="gaussian")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((name, value) for name in ("heldout_share", "validation_share") for value in (-0.1, 0.6, np.nan)),
        *(("beta_1", value) for value in (0.0, -1.0, 1.0, 1e-30, np.nan)),
        *(("learning_rate", value) for value in (0.0, -1e-3, 1e9, np.nan)),
        ("batch_size", 0),
        *((name, value) for name in ("width", "depth") for value in (0, 10**6)),
        ("num_steps", 10**8),
    ],
)
def test_an_option_out_of_range_is_refused(option, value, tmp_path):
    with pytest.raises(InputError, match=option.replace("_", ".") + ": expected "):
        declared(data=saved(tmp_path, ARRAYS["gaussian"][0]), **{option: value})


def test_a_column_that_varies_only_where_it_is_held_out(tmp_path):
    values = UNLIKE[:100].copy()
    values[:, 1] = 0
    path = saved(tmp_path, values)
    with pytest.raises(InputError, match="got the same value throughout column 1;"):
        declared(data=path)
    experiment = declared(data=saved(tmp_path, UNLIKE[:100]), num_steps=2, width=1, depth=1)
    values[:, 1] = values[:, 0] == experiment.task.heldout.source[:1][0, 0]
    with pytest.raises(InputError, match="the same value throughout column 1, once some data are held out"):
        declared(data=saved(tmp_path, values))


@pytest.mark.parametrize(("first", "second"), [("x.npy", "x.csv"), ("x.csv", "x.npy")])
def test_a_test_file_is_of_the_same_kind(first, second, tmp_path):
    saved(tmp_path, UNLIKE[:60])
    (tmp_path / "x.csv").write_text(TABLE)
    with pytest.raises(InputError, match=f"--test-data: expected .*, as --data is, got .*{second}"):
        declared(data=tmp_path / first, test_data=tmp_path / second)


@pytest.mark.parametrize(("columns", "kernel"), [("yes,no", "gaussian"), ("True,False", "bernoulli")])
def test_two_categories_are_no_bits(columns, kernel, tmp_path):
    one, other = columns.split(",")
    (tmp_path / "x.csv").write_text("a,b\n" + f"{one},1\n{other},0\n{other},1\n" * 20)
    assert declared(data=tmp_path / "x.csv", num_steps=5).options.kernel == kernel


def test_long_doubles(tmp_path):
    experiment = declared(data=saved(tmp_path, UNLIKE[:60].astype(np.longdouble)), num_steps=5)
    assert experiment.task.train.units.scale.dtype == np.float64


def test_data_may_be_plain_numbers(tmp_path, unchecked):
    experiment = declared(data=saved(tmp_path, GENERATOR.normal(size=50)), kernel="gaussian", num_steps=5)
    assert experiment.recipe.method.event_shape == ()
    assert experiment.task.train.rows(np.arange(3)).shape == (3,)


def test_kernels(tmp_path):
    path = saved(tmp_path, ARRAYS["bernoulli"][0])
    assert isinstance(declared(data=path, kernel="gaussian", num_steps=5).recipe.method.kernel, GaussianKernel)
    assert isinstance(declared(data=path, num_steps=5).recipe.method.kernel, BernoulliKernel)
    saved(tmp_path, ARRAYS["gaussian"][0])
    assert isinstance(declared(data=path, num_steps=5).recipe.method.kernel, GaussianKernel)


UNLIKE = GENERATOR.normal(size=(400, 3)) * [1e-3, 1.0, 1e4]
SQUARES = GENERATOR.normal(size=(60, 2, 2))


@pytest.mark.parametrize(
    ("values", "options", "num_scales"),
    [
        (UNLIKE, {}, 3),
        (UNLIKE, {"scale": "pooled"}, 1),
        (SQUARES, {}, 1),
        (SQUARES, {"scale": "columns"}, 4),
        (ARRAYS["levels"][0], {"levels": 4}, 1),
    ],
)
def test_vectors_are_scaled_by_columns_and_images_as_a_whole(values, options, num_scales, tmp_path):
    experiment = declared(data=saved(tmp_path, values), num_steps=5, **options)
    assert experiment.task.train.units.scale.size == num_scales
    assert experiment.options.scale == options.get("scale", None if "levels" in options else experiment.options.scale)


def test_a_chain_that_has_learned_nothing_has_the_density_of_the_gaussian(tmp_path):
    """But for correlations within a reverse step, which many steps make small."""
    correlated = UNLIKE @ np.array([[1, 5e3, 0], [0, 1, 5e4], [0, 0, 1.0]])
    experiment = declared(data=saved(tmp_path, correlated), num_steps=500, validation_share=0.0)
    scores = score(
        experiment.recipe.method, experiment.task.heldout, jax.random.key(0), gaussian=experiment.task.gaussian
    )
    assert abs(scores.K_minus_gaussian.mean) < 0.15
    assert scores.gaussian.mean - scores.L_null.mean > 3
    units = experiment.task.train.units
    train, heldout = (
        (read(part.source, slice(None)) - units.shift) / units.scale
        for part in (experiment.task.train, experiment.task.heldout)
    )
    mean, covariance = known_moments(train)
    expected = multivariate_normal.logpdf(heldout, mean, covariance) / np.log(2)
    assert scores.gaussian.mean == pytest.approx(expected.mean(), abs=1e-3)


def known_moments(values):
    return values.mean(axis=0), np.cov(values, rowvar=False, bias=True)


@pytest.mark.parametrize(
    ("values", "first"),
    [(GENERATOR.normal(size=(400, 2)), (1e-10, 1e-6)), (GENERATOR.integers(0, 4, (400, 2)) / 4, (1e-5, 1e-5))],
    ids=["real", "coarse"],
)
def test_the_first_rate_lies_well_below_the_distances_between_values(values, first, tmp_path):
    path = saved(tmp_path, values)
    found = declared(data=path, num_steps=5).options.beta_1
    assert first[0] <= found <= first[1]
    asked = declared(data=path, num_steps=5, beta_1=1e-3)
    assert asked.recipe.method.schedule.betas[0] == pytest.approx(1e-3, rel=1e-4)


def test_data_of_a_test_file_are_held_out_in_place_of_some(tmp_path):
    train, test = tmp_path / "train.npy", tmp_path / "test.npy"
    np.save(train, UNLIKE[:300])
    np.save(test, UNLIKE[300:])
    experiment = declared(data=train, test_data=test, num_steps=5)
    np.testing.assert_array_equal(experiment.task.heldout.source, UNLIKE[300:])
    assert experiment.task.train.num_points + experiment.task.validation.num_points == 300
    np.save(test, UNLIKE[301:])
    with pytest.raises(InputError, match="--data: expected the data that the run began with"):
        experiment.options.experiment()


def test_a_method_that_trains_is_chosen_by_validation_and_the_gaussian_takes_all(tmp_path):
    path = saved(tmp_path, UNLIKE)
    shares = {name: declared(data=path, method=name).task.validation for name in ("gaussian", "vae")}
    assert shares["gaussian"] is None
    assert shares["vae"].num_points == 36


LINES = (f"{x:.3f},{'abc'[i % 3]},{i % 5}\n" for i, x in enumerate(GENERATOR.normal(size=60)))
TABLE = "size,town,count\n" + "".join(LINES)


@pytest.mark.parametrize(
    ("name", "method"),
    [("levels", "diffusion"), ("bernoulli", "diffusion"), ("table", "diffusion"), ("gaussian", "mixture")],
)
def test_what_is_trained_can_be_drawn_from_without_the_data(name, method, tmp_path):
    if name == "table":
        (tmp_path / "x.csv").write_text(TABLE)
        real = declared(data=tmp_path / "x.csv", num_steps=3, width=4, depth=1, method=method)
    else:
        values, options, _ = ARRAYS[name]
        of_diffusion = {"num_steps": 3, "width": 4, "depth": 1} if method == "diffusion" else {}
        real = declared(data=saved(tmp_path, values), method=method, **options, **of_diffusion)
    facts = json.loads(json.dumps(real.task.data_facts))
    bare = dataclasses.replace(real.options, data=tmp_path / "gone.npy", data_facts=facts).experiment()

    def state(one):
        train = one.task.train
        rows = train.draw(train.rows(np.arange(2)), jax.random.key(0))
        return training.init(one.recipe.svi(), jax.random.key(0), rows, keep_best=one.task.validation is not None)

    trained, like = state(real), jax.eval_shape(lambda: state(bare))
    assert jax.tree.map(np.shape, trained) == jax.tree.map(np.shape, like)
    draws = [
        one.task.heldout.units.as_given(one.recipe.method.with_params(trained.params).sample(jax.random.key(1), 4))
        for one in (real, bare)
    ]
    np.testing.assert_array_equal(*draws)
    assert draws[0].dtype == draws[1].dtype
    assert bare.task.heldout.units.columns == real.task.heldout.units.columns


def test_images_in_bytes_are_of_256_levels_in_one_scale(tmp_path):
    path = tmp_path / "images.npy"
    images = GENERATOR.integers(0, 256, size=(40, 5, 4, 3), dtype=np.uint8)
    np.save(path, images)
    options = Array(data=path, num_steps=5)
    task = options.task(0)
    units = task.heldout.units
    assert (units.kind, units.num_levels, units.num_pixels, units.scale.shape) == ("levels", 256, 20, ())
    assert options.filled(task).levels == 256
    assert "256 levels" in task.notices[0]
    assert task.train.source.dtype == np.uint8
    assert (
        Array(data=path, scale="pooled").task(0).heldout.units.kind == "continuous"
    )  # who scales them wants no levels
    np.save(path, images[:, :, 0, 0])
    assert options.task(0).heldout.units.kind == "continuous"  # rows of bytes are no images
