"""Where the paper's network of the roll starts: at a minimum of -K that is far below where it was."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl import bound
from dpm_ppl.models import _projection
from dpm_ppl.models.swissroll import SwissRoll


def test_projection(monkeypatch):
    monkeypatch.setattr(_projection, "NUM_ITERATIONS", 30)
    monkeypatch.setattr(_projection, "NUM_POINTS", 200)
    monkeypatch.setattr(_projection, "NUM_READ_OUT", 20_000)  # 320 weights fitted to 2,000 would shrink by a tenth
    experiment = SwissRoll(noise=0.5, variant="paper", num_steps=10).experiment()
    started = experiment.recipe.started(experiment.task.train, jax.random.key(1))
    assert started.start is None
    before, after = experiment.recipe.method, started.method
    assert jax.tree.structure(before) == jax.tree.structure(after)
    x_0 = jnp.asarray(experiment.task.heldout.rows(np.arange(2000)))

    @eqx.filter_jit
    def K(diffusion):
        return bound(diffusion, x_0, jax.random.key(0), num_draws=1).K

    gained = K(after) - K(before)
    assert gained.mean() > 0.2 + 4 * gained.std() / 2000**0.5
    assert experiment.task.exact is not None
    gap = experiment.task.exact(np.asarray(x_0)) - np.asarray(K(after))
    assert gap.mean() > 4 * gap.std() / 2000**0.5
    # The readouts are the best for these units: to change the scale of what they say, or all variances, costs K.
    for factor, shift in ((0.8, 0.0), (1.2, 0.0), (1.0, -0.2), (1.0, 0.2)):
        weights = after.network.readouts.weights.reshape(10, 2, 2, -1)
        other = jnp.stack([factor * weights[:, :, 0], weights[:, :, 1] + shift], axis=2).reshape(10, 4, -1)
        lost = K(after) - K(eqx.tree_at(lambda one: one.network.readouts.weights, after, other))
        assert lost.mean() > 3 * lost.std() / 2000**0.5
