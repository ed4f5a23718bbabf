import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.networks import RBFNetwork
from dpm_ppl.schedules.steps import fixed_steps

STEPS = fixed_steps(np.full(3, 0.5))


@eqx.filter_jit
def everywhere(network, x, step):
    return jax.vmap(network, (0, None))(x, step)


def test_centres_of_points_in_the_plane_stand_on_a_grid():
    network = RBFNetwork((2,), 2, 3, key=jax.random.key(0))
    grid = {(x, y) for x in (-1.6, -0.5333, 0.5333, 1.6) for y in (-1.6, -0.5333, 0.5333, 1.6)}
    assert {tuple(round(float(c), 4) for c in centre) for centre in network.centres} == grid


@pytest.mark.parametrize(("event_shape", "num_centres"), [((2,), 15), ((3, 4), 16)])
def test_other_centres_are_drawn(event_shape, num_centres):
    centres = RBFNetwork(event_shape, 2, 3, num_centres=num_centres, key=jax.random.key(0)).centres
    assert centres.shape == (num_centres, np.prod(event_shape))
    assert np.any(centres != RBFNetwork(event_shape, 2, 3, num_centres=num_centres, key=jax.random.key(1)).centres)


def test_basis_functions_are_normalised():
    """Equal readout weights give one number everywhere, and near a centre its own weight alone counts."""
    network = RBFNetwork((2,), 1, 3, key=jax.random.key(0))
    equal = eqx.tree_at(lambda n: n.readouts.weights, network, jnp.full((3, 2, 16), 0.3))
    x = 5 * jax.random.normal(jax.random.key(1), (50, 2))
    np.testing.assert_allclose(everywhere(equal, x, STEPS[1]), 0.3, rtol=1e-5)

    narrow = eqx.tree_at(
        lambda n: (n.log_widths, n.readouts.weights),
        network,
        (jnp.full(16, -3.0), jnp.tile(jnp.arange(16.0), (3, 2, 1))),
    )
    at_centres = everywhere(narrow, network.centres + 0.05, STEPS[0])
    np.testing.assert_allclose(at_centres[:, 0, 0], jnp.arange(16.0), atol=1e-5)
