"""Programs that observe the numbers of a datum at several sites: real ones, counts, categories."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import dpm_ppl as dpm
from dpm_ppl.methods.base import log_weights
from dpm_ppl.methods.program import Program

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
SHARES = np.array([0.5, 0.3, 0.2])
X_0 = np.c_[RNG.normal(size=(60, 2)), RNG.poisson(3.0, 60), RNG.choice(3, 60, p=SHARES)].astype(np.float32)
EXACT = (
    stats.norm.logpdf(X_0[:, 0])
    + stats.norm.logpdf(X_0[:, 1], loc=X_0[:, 0], scale=0.5)
    + stats.poisson.logpmf(X_0[:, 2], 3.0)
    + np.log(SHARES[X_0[:, 3].astype(int)])
)


def observed(x_0, *places):
    return None if x_0 is None else x_0[:, places[0]] if len(places) == 1 else x_0[:, jnp.array(places)]


def plate(x_0, num_points, **options):
    return numpyro.plate("data", num_points if x_0 is None else len(x_0), **options)


def of_columns(x_0=None, num_points=None):
    """A real column, another that follows it, a count and a category."""
    with plate(x_0, num_points):
        first = numpyro.sample("first", dist.Normal(), obs=observed(x_0, 0))
        second = numpyro.sample("second", dist.Normal(first, 0.5), obs=observed(x_0, 1))
        count = numpyro.sample("count", dist.Poisson(3.0), obs=observed(x_0, 2))
        codes = None if x_0 is None else x_0[:, 3].astype(int)
        category = numpyro.sample("category", dist.Categorical(jnp.array(SHARES)), obs=codes)
        return jnp.stack([first, second, count, category], axis=-1)


def of_blocks(x_0=None, num_points=None):
    """Two columns at one site, in another order, and the plate to the left of an axis of columns."""
    with plate(x_0, num_points, dim=-2):
        both = numpyro.sample("both", dist.Normal(jnp.zeros((1, 2)), 1.0), obs=observed(x_0, 1, 0))
        rest = numpyro.sample("rest", dist.Poisson(jnp.array([[3.0, 1.0]])), obs=observed(x_0, 2, 3))
        return jnp.concatenate([both[:, ::-1], rest], axis=-1)


def reshaped(x_0=None, num_points=None):
    """A square observed as a vector."""
    law = dist.Normal(jnp.arange(4.0), 1.0).to_event(1)
    with plate(x_0, num_points):
        flat = numpyro.sample("flat", law, obs=None if x_0 is None else x_0.reshape(len(x_0), 4))
        return flat.reshape(-1, 2, 2)


BLOCKS = stats.norm.logpdf(X_0[:, :2]).sum(1) + stats.poisson.logpmf(X_0[:, 2:], [3.0, 1.0]).sum(1)
SCORED = {
    "columns": (of_columns, X_0, EXACT),
    "blocks": (of_blocks, X_0, BLOCKS),
    "reshaped": (reshaped, X_0.reshape(-1, 2, 2), stats.norm.logpdf(X_0, loc=np.arange(4)).sum(1)),
}


@pytest.mark.parametrize("name", SCORED)
def test_every_number_counts_once(name):
    model, x_0, exact = SCORED[name]
    program = Program(model, event_shape=x_0.shape[1:])
    program.check_data(x_0)
    np.testing.assert_allclose(log_weights(program, x_0, KEY), exact, rtol=1e-5, atol=1e-5)
    draws = np.asarray(program.sample(KEY, 4000)).reshape(4000, -1)
    drawn = Program(model, event_shape=x_0.shape[1:])
    x, log_weight = drawn.simulate(KEY, 1)
    np.testing.assert_allclose(log_weights(drawn, x, KEY), -0.0 + log_weight, rtol=1e-5)
    if name != "reshaped":
        errors = 4 * draws.std(axis=0) / np.sqrt(len(draws))
        assert (np.abs(draws.mean(axis=0) - [0, 0, 3, 0.7 if name == "columns" else 1]) < errors).all()


def refused(*sites, returned=lambda x: x):
    def model(x_0=None, num_points=None):
        with plate(x_0, num_points):
            for i, (law, pick) in enumerate(sites):
                numpyro.sample(f"site{i}", law, obs=None if x_0 is None else pick(x_0))

    return model


ONE, TWO = dist.Normal(), dist.Normal(jnp.zeros(2), 1.0).to_event(1)
REFUSED = {
    "a column left out": ([(ONE, lambda x: x[:, 0])], "1 of the 2 numbers of a datum, which no site observes"),
    "a column twice": ([(ONE, lambda x: x[:, 0]), (TWO, lambda x: x)], "site 'site0', which observes x_0 again"),
    "a column at two sites": (
        [(TWO, lambda x: x[:, ::-1]), (ONE, lambda x: x[:, 0])],
        "site 'site1', which observes numbers of x_0 again",
    ),
    "a column transformed": (
        [(ONE, lambda x: x[:, 0]), (ONE, lambda x: jnp.exp(x[:, 1]))],
        "site 'site1', which observes something else than numbers of x_0",
    ),
    "absolute values": ([(TWO, jnp.abs)], "site 'site0', which observes something else"),
    "values above zero": ([(TWO, lambda x: jnp.maximum(x, 0.0))], "site 'site0', which observes something else"),
    "values clipped far out": ([(TWO, lambda x: jnp.clip(x, 0, 99))], "site 'site0', which observes something else"),
    "sorted": ([(TWO, lambda x: jnp.sort(x, axis=0))], "site 'site0', which observes something else"),
    "data mixed": ([(TWO, lambda x: x.T.reshape(x.shape))], "site 'site0', whose elements mix numbers of several data"),
    "out of the support": (
        [(ONE, lambda x: x[:, 0]), (dist.Bernoulli(0.5), lambda x: x[:, 1])],
        "site 'site1', whose support .* lacks",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_are_not_observed_once_are_refused(name, unchecked):
    sites, message = REFUSED[name]
    with pytest.raises(dpm.InputError, match=f"got {message}"):
        Program(refused(*sites), event_shape=(2,)).check_data(X_0[:, :2])


def test_columns_returned_in_other_places_are_no_draws():
    def swapped(x_0=None, num_points=None):
        drawn = of_columns(x_0, num_points)
        return drawn[:, jnp.array([1, 0, 2, 3])]

    with pytest.raises(dpm.InputError, match="model: expected the draws of the site"):
        Program(swapped, event_shape=(4,)).sample(KEY, 3)
