"""Results of a small diffusion for plots to draw, and how what they draw is compared with numbers."""

import functools

import jax
import numpy as np

import dpm_ppl as dpm
from dpm_ppl.analysis.tree.tree import bound_group, weights_group
from tests.instances import DIFFUSIONS, draw_data

KEY = jax.random.key(0)
BIT = np.log(2)


@functools.cache
def groups():
    """Groups of a small diffusion's results, its entropy bounds, and a second set of weights."""
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 6)
    return (
        bound_group(dpm.bound(diffusion, x_0, KEY)),
        dpm.diffusion.entropy_bounds(diffusion, x_0, KEY),
        weights_group(dpm.log_likelihood(diffusion, x_0, KEY, 8)),
        weights_group(dpm.log_likelihood(diffusion, x_0, KEY, 32)),
    )


def mean_and_se(values):
    figure = dpm.estimate(values)
    return np.asarray(figure.mean), np.asarray(figure.se)


def assert_drawn(got, *columns):
    np.testing.assert_allclose(got, np.column_stack(columns), rtol=1e-12, atol=1e-12)
