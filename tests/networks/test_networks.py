"""What every network owes the chains, over one table of networks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.networks import RBFNetwork, SigmoidMLP, TimeMLP
from dpm_ppl.schedules.steps import fixed_steps

T = 6
STEPS = fixed_steps(np.linspace(0.1, 1.0, T))  # the last one leaves no signal: a log-SNR of -inf
NETWORKS = {
    "rbf": RBFNetwork,
    "sigmoid": SigmoidMLP,
    "time": lambda *sizes, key: TimeMLP(*sizes, width=8, depth=2, key=key),
    "fourier": lambda *sizes, key: TimeMLP(*sizes, width=8, depth=1, fourier_frequencies=(1.0, 8.0), key=key),
}


def build(name, event_shape=(2,), num_outputs=2):
    return NETWORKS[name](event_shape, num_outputs, T, key=jax.random.key(0))


def moved(network):
    """The network away from its zero start, as training would leave it."""
    params, static = eqx.partition(network, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(1)
    leaves = [leaf + np.asarray(rng.normal(size=leaf.shape), leaf.dtype) for leaf in leaves]
    return eqx.combine(jax.tree.unflatten(structure, leaves), static)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("event_shape", "num_outputs"), [((), 1), ((2,), 2), ((3, 4), 2)])
def test_outputs_have_the_shape_of_the_event_and_start_at_zero(name, event_shape, num_outputs):
    x_t = jax.random.normal(jax.random.key(2), event_shape)
    network = build(name, event_shape, num_outputs)
    outputs, moved_outputs = (eqx.filter_jit(n)(x_t, STEPS[0]) for n in (network, moved(network)))
    assert outputs.shape == (*event_shape, num_outputs)
    assert not outputs.any()
    assert moved_outputs.all()


@pytest.mark.parametrize("name", NETWORKS)
def test_batches_of_data_and_of_steps(name):
    network = moved(build(name))
    x = jax.random.normal(jax.random.key(3), (T, 2))
    single = eqx.filter_jit(network)
    one_by_one = jnp.stack([jnp.stack([single(x_t, STEPS[i]) for x_t in x]) for i in range(T)])
    data_within_steps = jax.jit(lambda x, steps: jax.vmap(jax.vmap(network, (0, None)), (None, 0))(x, steps))(x, STEPS)
    np.testing.assert_allclose(data_within_steps, one_by_one, rtol=1e-4, atol=1e-4)
    step_of_each = jax.jit(lambda x, steps: jax.vmap(network)(x, steps))(x, STEPS)
    np.testing.assert_allclose(step_of_each, one_by_one[jnp.arange(T), jnp.arange(T)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_are_finite_at_every_step(name):
    x = jax.random.normal(jax.random.key(4), (T, 3, 2)) * jnp.array([0.0, 1.0, 100.0])[:, None]

    def total(network, x):
        return jnp.square(jax.vmap(jax.vmap(network, (0, None)))(x, STEPS)).sum()

    network = moved(build(name))
    gradients = eqx.filter_jit(eqx.filter_grad(lambda both: total(*both)))((network, x))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("limit", [np.inf, -np.inf])
def test_infinite_log_snr(name, limit):
    step = eqx.tree_at(lambda s: (s.log_alpha_bar, s.log_noise), STEPS[0], (jnp.minimum(0.0, limit), -limit))
    step = jax.tree.map(jnp.asarray, step)
    assert float(step.log_snr) == limit
    assert np.isfinite(moved(build(name))(jnp.ones(2), step)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_bits_are_read_as_numbers(name):
    network = moved(build(name, (5,), 1))
    bits = jnp.array([1, 0, 0, 1, 0])
    np.testing.assert_array_equal(network(bits, STEPS[2]), network(bits.astype(float), STEPS[2]))


@pytest.mark.parametrize("name", NETWORKS)
def test_everything_trainable_can_be_reached_by_the_gradient(name):
    """Fixed numbers are no parameters: what an optimiser would move has an effect on the outputs."""
    network = moved(build(name))
    x = jax.random.normal(jax.random.key(5), (20 * T, 2))
    steps = STEPS[jnp.tile(jnp.arange(T), 20)]
    gradient = eqx.filter_jit(eqx.filter_grad(lambda network: jnp.square(jax.vmap(network)(x, steps)).sum()))(network)
    num_params = [leaf.size for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array))]
    assert [int(np.count_nonzero(leaf)) for leaf in jax.tree.leaves(gradient)] == num_params
    assert not [leaf for leaf in jax.tree.leaves(network) if not eqx.is_array(leaf) and not callable(leaf)]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (((0,), 1, T), "event_shape: expected a tuple of positive integers, got 0"),
        (((2, -1), 1, T), "event_shape: .* got -1"),
        (((2,), 0, T), "num_outputs"),
        (((2,), 1, 0), "num_steps"),
    ],
)
def test_bad_sizes(name, sizes, message):
    with pytest.raises(InputError, match=message):
        NETWORKS[name](*sizes, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("network", "option", "message"),
    [
        (RBFNetwork, {"num_centres": 0}, "num_centres"),
        (SigmoidMLP, {"widths": (5, 0)}, "widths"),
        (TimeMLP, {"width": 0}, "width"),
        (TimeMLP, {"depth": 0}, "depth"),
        (TimeMLP, {"num_time_frequencies": 0}, "num_time_frequencies"),
    ],
)
def test_bad_options(network, option, message):
    with pytest.raises(InputError, match=f"{message}: expected"):
        network((2,), 1, T, key=jax.random.key(0), **option)
