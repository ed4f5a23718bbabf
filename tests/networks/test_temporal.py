import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.networks import BumpReadout, SmoothReadouts, StepReadouts, bumps, time_features
from dpm_ppl.schedules import Erasure
from dpm_ppl.schedules.steps import fixed_steps

T = 20
STEPS = fixed_steps(np.full(T, 0.1))


@pytest.mark.parametrize("num_bumps", [1, 2, 5, 20])
def test_bumps_sum_to_one(num_bumps):
    weights = jax.vmap(lambda t: bumps(t, T, num_bumps))(STEPS.t)
    assert weights.shape == (T, num_bumps)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


def test_bumps_are_spaced_by_their_width():
    """Five bumps over (0, 20) stand at 2, 6, ..., 18; one width off, a bump is down by exp(-1/2)."""
    weights = jax.vmap(lambda t: bumps(t, T, 5))(STEPS.t)
    np.testing.assert_array_equal(weights[jnp.array([2, 6, 10, 14, 18]) - 1].argmax(axis=1), jnp.arange(5))
    np.testing.assert_allclose(weights[10 - 1, 1] / weights[10 - 1, 2], np.exp(-1 / 2), rtol=1e-5)
    np.testing.assert_allclose(weights[10 - 1, 0] / weights[10 - 1, 2], np.exp(-2), rtol=1e-5)


def test_bump_readout_weights_its_coefficients_by_the_bumps():
    readout = BumpReadout(3, 2, T, num_bumps=4, key=jax.random.key(0))
    features = jnp.array([1.0, -2.0, 0.5])
    assert not readout(features, STEPS[0]).any()
    weight, bias = jax.random.normal(jax.random.key(1), (8, 3)), jnp.arange(8.0)
    readout = eqx.tree_at(lambda r: (r.linear.weight, r.linear.bias), readout, (weight, bias))
    coefficients = (weight @ features + bias).reshape(2, 4)
    for i in (0, 7, 19):
        expected = [float(row @ bumps(STEPS.t[i], T, 4)) for row in coefficients]
        np.testing.assert_allclose(readout(features, STEPS[i]), expected, rtol=1e-5)


def test_equal_coefficients_make_a_readout_that_does_not_depend_on_time():
    readout = BumpReadout(1, 1, T, num_bumps=3, key=jax.random.key(0))
    readout = eqx.tree_at(lambda r: r.linear.bias, readout, jnp.full(3, 1.7))
    np.testing.assert_allclose(jax.vmap(readout, (None, 0))(jnp.ones(1), STEPS), 1.7, rtol=1e-6)


def test_each_step_has_a_readout_of_its_own():
    readouts = StepReadouts(3, 2, T)
    features = jnp.array([1.0, -2.0, 0.5])
    assert not jax.vmap(readouts, (None, 0))(features, STEPS).any()
    changed = eqx.tree_at(
        lambda r: (r.weights, r.biases), readouts, (readouts.weights.at[4].set(1.0), readouts.biases.at[4].set(3.0))
    )
    outputs = jax.vmap(changed, (None, 0))(features, STEPS)
    np.testing.assert_allclose(outputs[5 - 1], 2.5)
    assert np.flatnonzero(outputs.any(axis=1)).tolist() == [4]


def test_time_features_are_bounded_smooth_and_tell_steps_apart():
    steps = fixed_steps(1 / (1001 - np.arange(1, 1001)))
    features = jax.vmap(lambda step: time_features(step, 1000, 4))(steps)
    assert features.shape == (1000, 18)
    assert float(jnp.abs(features).max()) <= 1.0
    assert float(jnp.abs(features[0] - features[-1]).max()) > 0.5
    middle = features[100:900]
    changes = jnp.abs(jnp.diff(middle, axis=0)).max(axis=1)
    assert 0 < float(changes.min()) <= float(changes.max()) < 0.05


@pytest.mark.parametrize(
    "make",
    [
        lambda: StepReadouts(0, 1, T),
        lambda: SmoothReadouts(1, 1, T, num_bumps=0),
        lambda: BumpReadout(1, 1, T, num_bumps=0, key=jax.random.key(0)),
    ],
)
def test_bad_sizes(make):
    with pytest.raises(InputError, match="positive integer, got 0"):
        make()


def test_smooth_readouts_are_readouts_for_each_step_that_change_slowly():
    num_steps, features = 200, jnp.array([1.0, -2.0, 0.5])
    steps = Erasure(num_steps).steps()
    readouts = SmoothReadouts(3, 2, num_steps, num_bumps=4)
    assert not jax.vmap(readouts, (None, 0))(features, steps).any()
    drawn = jax.random.normal(jax.random.key(2), (8, 2, 4))
    readouts = eqx.tree_at(lambda r: (r.weights, r.biases), readouts, (drawn[..., :3], drawn[..., 3]))
    outputs = jax.vmap(readouts, (None, 0))(features, steps)
    untied = readouts.at(steps)
    assert (type(untied), untied.num_steps) == (StepReadouts, num_steps)
    np.testing.assert_allclose(jax.vmap(untied, (None, 0))(features, steps), outputs, rtol=1e-5, atol=1e-5)
    # Equal numbers in all bumps of both clocks make a readout that does not depend on time.
    level = eqx.tree_at(lambda r: (r.weights, r.biases), readouts, (jnp.zeros((8, 2, 3)), jnp.full((8, 2), 0.85)))
    np.testing.assert_allclose(jax.vmap(level, (None, 0))(features, steps), 1.7, rtol=1e-6)
    # Neighbours are alike in the middle; the log-ratio, which moves faster there, tells the first steps apart.
    moved = np.abs(np.diff(outputs, axis=0)).max(axis=1)
    assert 2 * moved[50:150].max() < moved[0] < 0.1 * np.ptp(outputs)
