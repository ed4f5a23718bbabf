"""The limit of K over all networks and schedules, where it is known in closed form."""

import numpy as np
import pytest

from benchmarks.paper_limits import LOG_SNRS, best_path


@pytest.mark.parametrize("num_steps", [2, 10])
def test_data_from_the_stationary_law_lose_nothing(num_steps):
    """Var(x_0 | x_t) is 1 / (1 + snr), and K is -h = -log(2 pi e) / 2 per coordinate with any schedule."""
    x_0 = np.tile([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]], (4, 1))
    variances = np.broadcast_to(1 / (1 + np.exp(LOG_SNRS))[:, None, None], (len(LOG_SNRS), *x_0.shape))
    np.testing.assert_allclose(best_path(variances, x_0, num_steps).mean(), -1.5 * np.log(2 * np.pi * np.e), rtol=1e-9)


def test_more_steps_lose_less():
    """Data at -1 and 1, whose K rises with the steps and has no limit as beta_1 falls."""
    x_0 = np.tile([[1.0], [-1.0]], (50, 1))
    snr, noise = np.exp(LOG_SNRS)[:, None, None], np.random.default_rng(0).standard_normal((1, 100, 1))
    variances = 1 - np.tanh(snr + np.sqrt(snr) * noise * x_0) ** 2
    few, more = (best_path(variances, x_0, num_steps).mean() for num_steps in (3, 30))
    assert more > few + 0.1
