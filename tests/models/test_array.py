import re

import numpy as np
import pytest

from dpm_ppl._errors import InputError
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.models import array

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "gaussian": (GENERATOR.normal(3.0, 2.0, size=(50, 2, 3)), {"kernel": "gaussian"}, "continuous"),
    "levels": (GENERATOR.integers(0, 4, size=(50, 3)), {"kernel": "gaussian", "levels": 4}, "levels"),
    "bernoulli": (GENERATOR.integers(0, 2, size=(50, 5)), {"kernel": "bernoulli"}, "binary"),
}


def saved(folder, values):
    np.save(folder / "x.npy", values)
    return folder / "x.npy"


@pytest.mark.parametrize("name", ARRAYS)
def test_a_tenth_is_held_out(name, tmp_path):
    values, options, kind = ARRAYS[name]
    experiment = array.experiment(data=saved(tmp_path, values), num_steps=5, **options)
    train, heldout = experiment.train, experiment.heldout
    assert (train.num_points, heldout.num_points) == (45, 5)
    assert (train.units.kind, heldout.units.kind) == (kind, kind)
    assert experiment.method.event_shape == values.shape[1:]
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train.source, heldout.source]), axis=0), np.sort(values, axis=0)
    )
    if kind != "binary":
        assert heldout.units is train.units


@pytest.mark.parametrize("name", ARRAYS)
def test_its_options_declare_it_again(name, tmp_path):
    values, options, _ = ARRAYS[name]
    first = array.experiment(data=saved(tmp_path, values), num_steps=5, edge="learned", **options)
    again = array.experiment(**first.options)
    assert again.options == first.options
    assert again.method.edge == "learned"
    np.testing.assert_array_equal(again.heldout.source, first.heldout.source)


@pytest.mark.parametrize(("fill", "rate"), [(0, 0.02), (1, 0.98), (None, None)])
def test_noise_bits_have_the_activity_of_the_data(fill, rate, tmp_path):
    values = ARRAYS["bernoulli"][0] if fill is None else np.full((50, 5), fill)
    experiment = array.experiment(data=saved(tmp_path, values), kernel="bernoulli", num_steps=5)
    kernel = experiment.method.kernel
    assert isinstance(kernel, BernoulliKernel)
    assert kernel.pi == pytest.approx(experiment.train.source.mean() if rate is None else rate)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_seed_decides_what_is_held_out(name, tmp_path):
    values, options, _ = ARRAYS[name]
    path = saved(tmp_path, values)
    first, again, other = (array.experiment(data=path, num_steps=5, seed=seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(again.heldout.source, first.heldout.source)
    assert not np.array_equal(other.heldout.source, first.heldout.source)


def test_noise_bits_have_the_rate_that_was_recorded(tmp_path):
    path = saved(tmp_path, ARRAYS["bernoulli"][0])
    found = array.experiment(data=path, kernel="bernoulli", num_steps=5)
    assert found.options["pi"] == found.method.kernel.pi
    asked = array.experiment(data=path, kernel="bernoulli", num_steps=5, pi=0.3)
    assert asked.options["pi"] == asked.method.kernel.pi == 0.3
    with pytest.raises(InputError, match="--pi: expected none with the gaussian kernel"):
        array.experiment(data=path, kernel="gaussian", num_steps=5, pi=0.3)


def test_other_data_are_not_taken_for_those_of_a_run(tmp_path):
    path = saved(tmp_path, ARRAYS["gaussian"][0])
    options = array.experiment(data=path, kernel="gaussian", num_steps=5).options
    saved(tmp_path, ARRAYS["gaussian"][0] + 1)
    with pytest.raises(InputError, match=f"--data: expected the file this run began with, {re.escape(str(path))}"):
        array.experiment(**options)


def test_an_error_names_the_place_in_the_file(tmp_path):
    values = ARRAYS["gaussian"][0].copy()
    values[17, 1, 2] = np.inf
    with pytest.raises(InputError, match=r"--data: expected finite numbers, got .* inf at index \(17, 1, 2\)"):
        array.experiment(data=saved(tmp_path, values), kernel="gaussian")


def test_data_may_be_plain_numbers(tmp_path, unchecked):
    experiment = array.experiment(data=saved(tmp_path, GENERATOR.normal(size=50)), kernel="gaussian", num_steps=5)
    assert experiment.method.event_shape == ()
    assert experiment.train.rows(np.arange(3)).shape == (3,)


def test_kernels(tmp_path):
    path = saved(tmp_path, ARRAYS["bernoulli"][0])
    assert isinstance(array.experiment(data=path, kernel="gaussian", num_steps=5).method.kernel, GaussianKernel)
