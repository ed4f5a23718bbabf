"""Whatever users bring of one and the same thing is taken for it, or refused in one line that names the argument."""

import warnings
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
import xarray as xr
from numpyro.infer import SVI

import dpm_ppl as dpm
from dpm_ppl._common import checks
from dpm_ppl.analysis.comparison.comparison import compare_bounds
from dpm_ppl.likelihood.flow import flow_sample
from dpm_ppl.training.loop import init
from tests.instances import small

KEY = jax.random.key(0)
REAL = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)

ARRAYS: dict[str, Callable] = {
    "float64": lambda x: x.astype(np.float64),
    "big-endian": lambda x: x.astype(">f4"),
    "big-endian float64": lambda x: x.astype(">f8"),
    "long double": lambda x: x.astype(np.longdouble),
    "JAX": jnp.asarray,
    "list": lambda x: x.tolist(),
    "masked, nothing hidden": np.ma.masked_invalid,
    "DataFrame": lambda x: pd.DataFrame(x, columns=["a", "draw"]),
    "DataArray": lambda x: xr.DataArray(x, dims=("draw", "y"), coords={"draw": np.arange(len(x))}, name="draw"),
}


FIT = {"num_updates": 2, "batch_size": 3, "key": KEY, "progress": False}


@pytest.fixture(scope="module")
def diffusion():
    return small(dpm.GaussianKernel(dpm.noise_prediction), dpm.LogSNR(5, 8.0, -6.0))


@pytest.fixture(scope="module")
def svi(diffusion):
    chains = (partial(chain, diffusion) for chain in (dpm.reverse_chain, dpm.forward_chain))
    return SVI(*chains, optax.adam(1e-3), loss=dpm.DiffusionELBO(2))


@pytest.mark.parametrize("as_given", ARRAYS.values(), ids=ARRAYS)
def test_arrays_of_every_origin_are_the_same_data(as_given, diffusion, svi, unchecked):
    """And say so without a warning, such as JAX's of float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(dpm.bound(diffusion, as_given(REAL), KEY).K, dpm.bound(diffusion, REAL, KEY).K)
        given, expected = (dpm.log_likelihood(diffusion, x, KEY, 4) for x in (as_given(REAL), REAL))
        np.testing.assert_array_equal(given.log_likelihood, expected.log_likelihood)
        losses = [dpm.fit(svi, x, **FIT).metrics[-1]["loss"] for x in (as_given(REAL), REAL)]
        assert losses[0] == losses[1]


REFUSED = {
    "masked": (np.ma.masked_greater(REAL, 1.0), "without gaps"),
    "beyond float32": (REAL.astype(float) * 1e160, "in the range of float32"),
    "beyond int32": (np.full((6, 2), 2**40), "in the range of int32"),
    "dates": (np.full((6, 2), np.datetime64("2020-01-01")), "real numbers"),
    "mixed table": (pd.DataFrame({"a": ["x"] * 6, "b": range(6)}), "real numbers"),
    "ragged": ([[1.0, 2.0], [3.0]], "an array"),
    "complex, of JAX": (jnp.asarray(REAL) * 1j, "real numbers"),
}


@pytest.mark.parametrize(("values", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_data_is_refused(values, expected, diffusion, svi, unchecked):
    for act in (lambda: dpm.bound(diffusion, values, KEY), lambda: dpm.fit(svi, values, **FIT)):
        with pytest.raises(dpm.InputError, match=rf"^(x_0|dataset): expected .*{expected}.*; .+$"):
            act()


NO_PROGRAM = SVI(print, print, optax.sgd(1.0), loss=dpm.DiffusionELBO())
WITH_KEYS: dict[str, Callable] = {
    "bound": lambda d, key: dpm.bound(d, REAL, key),
    "entropy_bounds": lambda d, key: dpm.diffusion.entropy_bounds(d, REAL, key),
    "sample": lambda d, key: dpm.sample(d, key, 3),
    "sample_path": dpm.diffusion.sample_path,
    "sandwich": lambda d, key: dpm.sandwich(d, key, 3, 4),
    "log_likelihood": lambda d, key: dpm.log_likelihood(d, REAL, key, 4),
    "flow_log_likelihood": lambda d, key: dpm.flow_log_likelihood(d, REAL, key),
    "flow_sample": lambda d, key: flow_sample(d, key, 3),
    "measure": lambda d, key: dpm.measure(d, dpm.Dataset.from_continuous(REAL), key),
    "fit": lambda d, key: dpm.fit(NO_PROGRAM, REAL, **FIT | {"key": key}),
    "init": lambda d, key: init(NO_PROGRAM, key, REAL),
    "network": lambda d, key: dpm.TimeMLP((2,), 2, 5, key=key),
}
KEYS = {
    "a seed": (3, r"the seed 3; pass jax.random.key\(3\)"),
    "several keys": (jax.random.split(KEY, 2), r"keys of shape \(2,\); pass one"),
    "several raw keys": (jax.random.split(jax.random.PRNGKey(0), 2), r"keys of shape \(2,\); pass one"),
    "nothing": (None, "None; "),
    "other numbers": (np.zeros(2), "an array float64"),
}


@pytest.mark.parametrize("act", WITH_KEYS.values(), ids=WITH_KEYS)
def test_a_key_is_one_key(act, diffusion, unchecked):
    for key, got in KEYS.values():
        with pytest.raises(dpm.InputError, match=rf"^key: expected (a JAX random|one) key, got {got}"):
            act(diffusion, key)


def test_both_kinds_of_keys_are_taken(diffusion, unchecked):
    raw = jax.random.PRNGKey(0)
    for key in (raw, np.asarray(raw)):
        np.testing.assert_array_equal(dpm.sample(diffusion, key, 3), dpm.sample(diffusion, KEY, 3))


WHOLE: dict[str, Callable] = {
    "Erasure": lambda n: dpm.Erasure(n).num_steps,
    "Linear": lambda n: dpm.Linear(n).num_steps,
    "Cosine": lambda n: dpm.Cosine(n).num_steps,
    "LogSNR": lambda n: dpm.LogSNR(n, 8.0, -6.0).num_steps,
    "DiffusionELBO": lambda n: dpm.DiffusionELBO(n).num_sampled_steps,
    "SequentialMonteCarlo": lambda n: dpm.SequentialMonteCarlo(n).num_particles,
    "Trajectories": lambda n: dpm.Trajectories(num_particles=n).num_particles,
    "TimeMLP": lambda n: dpm.TimeMLP((2,), n, 5, width=4, depth=1, key=KEY).num_outputs,
    "Dataset": lambda n: dpm.Dataset.from_levels(np.arange(4) % 2, n).units.num_levels,
    "event_shape": lambda n: dpm.Program(lambda x_0, num_points: None, event_shape=(n,)).event_shape[0],
}
REALS: dict[str, Callable] = {
    "pi": lambda x: dpm.BernoulliKernel(x).pi,
    "Erasure": lambda x: dpm.Erasure(5, beta_1=x).beta_1,
    "Linear": lambda x: dpm.Linear(5, beta_1=x).beta_1,
    "LogSNR": lambda x: dpm.LogSNR(5, x, -6.0).first,
    "Cosine": lambda x: dpm.Cosine(5, offset=x).offset,
    "threshold": lambda x: dpm.SequentialMonteCarlo(4, threshold=x).threshold,
}


@pytest.mark.parametrize("number", [4, np.int64(4), np.uint8(4), np.array(4), jnp.asarray(4)], ids=repr)
def test_whole_numbers_of_every_origin(number, unchecked):
    for act in WHOLE.values():
        found = act(number)
        assert (found, type(found)) == (4, int)


@pytest.mark.parametrize(
    "number", [0.25, np.float32(0.25), np.float64(0.25), np.array(0.25), jnp.asarray(0.25)], ids=repr
)
def test_numbers_of_every_origin(number, unchecked):
    for act in REALS.values():
        found = act(number)
        assert (found, type(found)) == (0.25, float)


@pytest.mark.parametrize("value", [2.0, "4", True, np.True_, None, np.arange(2), jnp.arange(2)], ids=repr)
def test_no_whole_number(value, unchecked):
    for act in WHOLE.values() if value is not None else list(WHOLE.values())[:4]:
        with pytest.raises(dpm.InputError):
            act(value)


def test_what_is_traced_is_no_number_yet():
    for act in (lambda x: checks.real_number("pi", x), lambda x: checks.whole_number("num_steps", x)):
        with pytest.raises(dpm.InputError, match="got a traced value"):
            jax.jit(act)(4)


def test_what_is_added_up_outside_of_jax_is_not_traced(diffusion, unchecked):
    data = dpm.Dataset.from_continuous(REAL)
    for act, argument in (
        (lambda key: dpm.log_likelihood(diffusion, REAL, key, 4).log_likelihood, "key"),
        (lambda key: dpm.sandwich(diffusion, key, 3, 4).lower, "key"),
        (lambda key: dpm.measure(diffusion, data, key).scores.K_values, "key"),
        (lambda key: dpm.estimate(dpm.bound(diffusion, REAL, key).K).mean, "values"),
    ):
        with pytest.raises(dpm.InputError, match=rf"^{argument}: expected known values, .*got traced ones"):
            jax.jit(act)(KEY)


def test_devices_are_a_list(diffusion, unchecked):
    for devices in (jax.devices()[0], 2, [], "cpu"):
        with pytest.raises(dpm.InputError, match=r"^devices: expected a list of JAX devices"):
            dpm.log_likelihood(diffusion, REAL, KEY, 4, devices=devices)


def test_names_are_text():
    assert checks.named({8: "a", "b": "c"}, "results") == {"8": "a", "b": "c"}
    with pytest.raises(dpm.InputError, match="names of their own"):
        checks.named({8: "a", "8": "b"}, "results")


@pytest.mark.parametrize("name", ["num_draws", "num_points", "num_particles"])
def test_an_error_names_its_argument(name, diffusion):
    with pytest.raises(dpm.InputError, match=rf"^{name}: expected a positive integer, got 0"):
        dpm.measure(diffusion, dpm.Dataset.from_continuous(REAL), KEY, **{name: 0})


def test_results_are_short_where_they_are_echoed(diffusion, svi, unchecked):
    data = dpm.Dataset.from_continuous(np.tile(REAL, (50, 1)))
    measured = dpm.measure(diffusion, data, KEY, num_draws=1, num_particles=4)
    compared = compare_bounds({8: np.asarray(measured.scores.K_values), 16: measured})
    certified, fitted = dpm.sandwich(diffusion, KEY, 50, 4), dpm.fit(svi, REAL, **FIT)
    for result in (measured, compared, measured.weights, certified, fitted):
        assert len(repr(result)) < 5000
        assert "array(" not in repr(result)
    assert {"8", "16"} == {one.name for one in compared.entries}
    assert "f32[" in repr(measured) or "f64[300](numpy)" in repr(measured)


def test_debugging_nans_finds_none_of_our_own(svi):
    with jax.debug_nans(True):
        svi.update(svi.init(KEY, jnp.asarray(REAL)), jnp.asarray(REAL))
