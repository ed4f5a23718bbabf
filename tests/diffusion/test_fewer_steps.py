"""Chains on fewer steps than they were trained with, and K from some of its steps."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion import bound, sample, sampled_bound
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.estimates import estimate
from dpm_ppl.kernels import BernoulliKernel, CategoricalKernel, GaussianKernel, clean_rate, noise_prediction, uniform
from dpm_ppl.networks import AbstractNetwork, gaussian_network
from dpm_ppl.schedules import Erasure, Fixed, LogSNR, Strided
from tests.instances import small

KEY = jax.random.key(0)
COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.0]])


class Tells(AbstractNetwork):
    """A network whose outputs are the time that it is told."""

    event_shape: tuple[int, ...] = (1,)

    def __call__(self, x_t, step):
        return jnp.broadcast_to(step.t.astype(float), (1, 2))


class Nothing(AbstractNetwork):
    def __call__(self, x_t, step):
        return jnp.zeros((2, 2))


def linear_chain(num_steps):
    """The best chain for normal data of this covariance."""
    network = gaussian_network(Nothing(), np.zeros(2), COVARIANCE)
    return Diffusion(GaussianKernel(noise_prediction), LogSNR(num_steps, 9.0, -9.0), network, (2,))


DIFFUSIONS = {
    "gaussian": lambda: small(GaussianKernel(noise_prediction), LogSNR(40, 6.0, -6.0)),
    "gaussian, learned edge": lambda: small(GaussianKernel(noise_prediction), LogSNR(40, 6.0, -6.0), edge="learned"),
    "bernoulli": lambda: small(BernoulliKernel(0.3, clean_rate), Erasure(40)),
    "categorical": lambda: small(CategoricalKernel(uniform(3)), Erasure(40)),
}


def some_data(diffusion, num):
    return diffusion.stationary().sample(jax.random.key(1), (num,))


@pytest.mark.parametrize("name", DIFFUSIONS)
def test_a_chain_on_all_its_steps_is_itself(name):
    diffusion = DIFFUSIONS[name]()
    x_0 = some_data(diffusion, 20)
    whole, same = (bound(one, x_0, KEY) for one in (diffusion, diffusion.strided(40)))
    np.testing.assert_allclose(same.K, whole.K, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("num_steps", [2, 3, 7, 12])
@pytest.mark.parametrize("schedule", [LogSNR(12, 6.0, -6.0), Erasure(12, beta_1=1e-3), Fixed(np.full(12, 0.2))])
def test_marginals_are_those_of_the_whole_chain(schedule, num_steps):
    shorter = Strided(schedule, num_steps)
    whole, left = schedule.steps(), shorter.steps()
    assert left.t.tolist() == list(range(1, num_steps + 1))
    assert (shorter.times[0], shorter.times[-1]) == (1, 12)
    for name in ("log_alpha_bar", "log_noise"):
        np.testing.assert_array_equal(getattr(left, name), getattr(whole, name)[shorter.times - 1])
    same = Fixed(left.beta).steps()  # the chain of these rates, made from nothing else
    for name in ("alpha_bar", "noise", "alpha"):
        np.testing.assert_allclose(getattr(left, name), getattr(same, name), rtol=1e-4, atol=1e-6)
    for name in ("log_noise_prev", "log_noise_gain", "log_noise_ratio"):
        got, expected = (np.exp(getattr(steps, name)) for steps in (left, same))
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


def test_the_network_is_told_the_time_of_the_whole_chain():
    diffusion = Diffusion(GaussianKernel(noise_prediction), LogSNR(100, 6.0, -6.0), Tells(), (1,))
    shorter = diffusion.strided(4)
    told = shorter.outputs(jnp.zeros((4, 1)), shorter.steps)[:, 0, 0]
    assert told.tolist() == [1, 34, 67, 100]


def test_fewer_steps_cost_bound_as_theory_says():
    """A linear chain's K and evidence are known to tend to the data's own as steps grow short."""
    diffusion, law = linear_chain(100), np.random.default_rng(0)
    x_0 = jnp.asarray(law.multivariate_normal(np.zeros(2), COVARIANCE, 400))
    exact = -0.5 * (np.einsum("ni,ij,nj->n", x_0, np.linalg.inv(COVARIANCE), x_0) + np.log(np.linalg.det(COVARIANCE)))
    exact = exact - np.log(2 * np.pi)
    bounds = [np.asarray(bound(diffusion.strided(num), x_0, KEY, num_draws=8).K) for num in (6, 20, 100)]
    for K in bounds:
        gap = estimate(exact - K)
        assert gap.mean > -4 * gap.se
    for shorter, longer in itertools.pairwise(bounds):
        gain = estimate(longer - shorter)
        assert gain.mean > 4 * gain.se


@pytest.mark.parametrize("name", ["gaussian", "bernoulli"])
def test_draws_of_a_shorter_chain_are_of_the_kind_of_the_data(name):
    diffusion = DIFFUSIONS[name]().strided(5)
    draws = sample(diffusion, KEY, 10)
    diffusion.check_data(draws)
    assert np.unique(np.asarray(draws), axis=0).shape[0] > 1


@pytest.mark.parametrize("name", DIFFUSIONS)
@pytest.mark.parametrize("num_sampled_steps", [1, 5, 39])
def test_sampled_steps_give_the_bound_on_average(name, num_sampled_steps):
    diffusion = DIFFUSIONS[name]()
    x_0 = jnp.repeat(some_data(diffusion, 2), 1500, axis=0)
    whole = np.asarray(bound(diffusion, x_0, jax.random.key(5)).K).reshape(2, -1)
    some = np.asarray(sampled_bound(diffusion, x_0, KEY, num_sampled_steps=num_sampled_steps)).reshape(2, -1)
    for one, other in zip(some, whole, strict=True):
        one, other = estimate(one), estimate(other)
        assert abs(one.mean - other.mean) < 4 * np.hypot(one.se, other.se)


def test_evenly_spread_steps_have_less_noise():
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = jnp.repeat(some_data(diffusion, 1), 1000, axis=0)
    one, many = (np.std(sampled_bound(diffusion, x_0, KEY, num_sampled_steps=num)) for num in (1, 16))
    assert many < one / 8  # independent steps would have a quarter


def test_steps_are_looked_at_where_the_signal_is_lost():
    """In the first steps of an erasure the log-SNR falls most; evenly spread steps would seldom look there."""
    diffusion = small(GaussianKernel(), Erasure(200, beta_1=1e-4))
    x_0 = jnp.repeat(some_data(diffusion, 1), 400, axis=0)
    whole = bound(diffusion, x_0[:1], KEY)
    evenly = np.std(np.asarray(whole.step_divergences)[0]) * 199 / np.sqrt(10)  # of ten independent ones
    assert np.std(sampled_bound(diffusion, x_0, KEY, num_sampled_steps=10)) < evenly / 4


@pytest.mark.parametrize("num_steps", [1, 41])
def test_numbers_of_steps_out_of_range_are_refused(num_steps):
    with pytest.raises(InputError, match="num_steps: expected a whole number from 2 to T = 40"):
        DIFFUSIONS["gaussian"]().strided(num_steps)
