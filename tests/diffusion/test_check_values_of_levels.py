"""Categorical chains against sums over all their paths."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dpm_ppl as dpm
from dpm_ppl.diffusion.paths import independent, log_weight_of_paths
from dpm_ppl.kernels import CategoricalKernel, absorbing, direct_levels, discretised_gaussian, uniform
from tests.instances import small
from tests.likelihood.exact import bounds_of, probabilities_of

KEY = jax.random.key(0)
DATA = np.array(list(itertools.product(range(3), repeat=2)))
DIFFUSIONS = {
    "uniform": small(CategoricalKernel(uniform(3), direct_levels), dpm.Erasure(3), (2,)),
    "absorbing": small(CategoricalKernel(absorbing(3)), dpm.Erasure(3), (2,), edge="learned"),
    "absorbing, fixed edge": small(CategoricalKernel(absorbing(3)), dpm.Erasure(3), (2,)),
    "discretised gaussian": small(CategoricalKernel(discretised_gaussian(3)), dpm.Erasure(3), (2,)),
}
over_diffusions = pytest.mark.parametrize("name", DIFFUSIONS)


def of_data(diffusion, figure):
    """An exact figure of all data, from those of all states."""
    num_states = len(diffusion.kernel.moves.stationary)
    states = np.array(list(itertools.product(range(num_states), repeat=2)))
    return figure(diffusion, states)[(states < 3).all(axis=1)]


@over_diffusions
def test_the_bound_is_that_of_all_paths(name):
    """In both forms: by divergences, and as the mean log-weight of paths."""
    diffusion, exact = DIFFUSIONS[name], of_data(DIFFUSIONS[name], bounds_of)
    repeated = jnp.asarray(np.repeat(DATA, 400, axis=0))
    by_divergences = dpm.bound(diffusion, repeated, KEY).K
    by_paths = jax.jit(lambda x_0: log_weight_of_paths(diffusion, x_0, KEY, independent, None))(repeated)
    for values in (by_divergences, by_paths):
        values = np.asarray(values, np.float64).reshape(len(DATA), 400)
        error = values.std(axis=1) / np.sqrt(400)
        assert (np.abs(values.mean(axis=1) - exact) < 4.5 * error + 1e-5).all()


@over_diffusions
def test_weights_are_those_of_the_sum(name):
    diffusion, exact = DIFFUSIONS[name], of_data(DIFFUSIONS[name], probabilities_of)
    np.testing.assert_allclose(exact.sum(), 1, rtol=1e-5)  # no mask is left
    log_weights = jax.jit(lambda x_0: log_weight_of_paths(diffusion, x_0, KEY, independent, None))(
        jnp.asarray(np.repeat(DATA, 2000, axis=0))
    )
    weights = np.exp(np.asarray(log_weights, np.float64)).reshape(len(DATA), 2000)
    error = weights.std(axis=1) / np.sqrt(2000)
    assert (np.abs(weights.mean(axis=1) - exact) < 4 * error + 1e-6).all()


@pytest.mark.parametrize("name", ["absorbing", "discretised gaussian"])
def test_likelihoods_of_levels(name):
    """The estimator by trajectories and by particles, and draws: shares of the data are their probabilities."""
    diffusion, exact = DIFFUSIONS[name], of_data(DIFFUSIONS[name], probabilities_of)
    for proposal in (dpm.Trajectories(), dpm.SequentialMonteCarlo(16)):
        result = dpm.log_likelihood(diffusion, DATA, KEY, 1024, proposal=proposal)
        assert (np.abs(result.log_likelihood - np.log(exact)) < 4 * result.se + 1e-4).all()
    draws = np.asarray(dpm.sample(diffusion, KEY, 4000))
    shares = (draws[:, None] == DATA).all(axis=2).mean(axis=0)
    assert (np.abs(shares - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)).all()
