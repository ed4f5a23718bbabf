"""Where the paper's network of the heartbeat starts: layers and readouts that were trained together in time."""

import jax
import numpy as np

from dpm_ppl import bound
from dpm_ppl.models import _smoothing
from dpm_ppl.models.heartbeats import Heartbeat
from dpm_ppl.networks import StepReadouts


def test_smoothing(monkeypatch):
    monkeypatch.setattr(_smoothing, "NUM_UPDATES", 400)
    experiment = Heartbeat(variant="paper", num_steps=50).experiment()
    started = experiment.recipe.started(experiment.task.train, jax.random.key(1))
    assert started.start is None
    before, after = experiment.recipe.method, started.method
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert isinstance(after.network.readouts, StepReadouts)
    # Untrained it is L_null; it comes more than halfway to what no sequence can exceed, log 1/5, and not beyond.
    x_0 = experiment.task.heldout.rows(np.arange(1000))
    terms = bound(after, x_0, jax.random.key(0), num_draws=2)
    K, null = np.asarray(terms.K), np.asarray(terms.L_null)
    error = K.std() / len(K) ** 0.5
    assert K.mean() > null.mean() / 2 + np.log(1 / 5) / 2 + 4 * error
    assert K.mean() < np.log(1 / 5) - 4 * error
