"""The ladder of kept log-weights, against the one that is summed on the way."""

import jax
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates.widening import widening
from dpm_ppl.likelihood import ladder, log_likelihood
from tests.instances import DIFFUSIONS, draw_data

LOG_WEIGHTS = np.random.default_rng(0).normal(size=(3, 1000))


def test_powers_of_two_are_those_of_the_running_sums():
    diffusion = DIFFUSIONS["gaussian"]()
    result = log_likelihood(diffusion, draw_data(diffusion, 3), jax.random.key(0), 64, keep_log_weights=True)
    again = ladder(result.log_weights, (1, 2, 4, 8, 16, 32, 64))
    for name in ("values", "se", "rises", "rises_se"):
        np.testing.assert_allclose(getattr(again, name), getattr(result.ladder, name), rtol=1e-6, err_msg=name)


def test_groups_of_any_size():
    got = ladder(LOG_WEIGHTS, (1, 10, 100, 1000))
    groups = np.log(np.exp(LOG_WEIGHTS).reshape(3, 100, 10).mean(axis=2))
    np.testing.assert_allclose(got.values[:, 1], groups.mean(axis=1))
    np.testing.assert_allclose(got.se[:, 1], groups.std(axis=1, ddof=1) / 10 * widening(100, 8.0))
    rises = groups - LOG_WEIGHTS.reshape(3, 100, 10).mean(axis=2)
    np.testing.assert_allclose(got.rises[:, 0], rises.mean(axis=1))
    np.testing.assert_allclose(got.rises_se[:, 0], rises.std(axis=1, ddof=1) / 10 * widening(100, 8.0))
    assert (got.rises > 0).all()
    assert (got.rises_se[:, 0] < np.hypot(got.se[:, 0], got.se[:, 1])).all()
    assert [mean.mean for mean in got.means()] == sorted(mean.mean for mean in got.means())


def test_sizes_that_do_not_divide_each_other():
    got = ladder(LOG_WEIGHTS, (3, 7))
    assert np.isnan(got.rises_se).all()
    np.testing.assert_allclose(got.rises[:, 0], got.values[:, 1] - got.values[:, 0])


@pytest.mark.parametrize("num_draws", [(16, 32), (64, 128), (4, 128), (1, 2)])
def test_errors_of_rises_cover_for_few_groups(num_draws):
    """256 draws of log-normal weights hold 16, 4, two or more groups; the truth is that of two million draws."""
    rng = np.random.default_rng(0)
    many = ladder(rng.normal(size=(200, 1 << 13)), num_draws)
    found = ladder(rng.normal(size=(1000, 256)), num_draws)
    covered = np.abs(found.rises[:, 0] - many.rises[:, 0].mean()) <= 1.96 * found.rises_se[:, 0]
    assert covered.mean() > 0.93 - 3 * np.sqrt(0.93 * 0.07 / 1000)


@pytest.mark.parametrize("wrong", [(), (0, 1), (10, 1), (1, 1), (1, 1001)])
def test_bad_sizes(wrong):
    with pytest.raises(InputError, match="num_draws: expected increasing numbers from 1 to 1000"):
        ladder(LOG_WEIGHTS, wrong)
