"""How tests compare: numbers that are exact, means that are not, and the bound that a program gives."""

from functools import partial

import jax
import numpy as np

from dpm_ppl.diffusion.chains import forward_chain, reverse_chain

KEY = jax.random.key(1)


def assert_exact(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


def assert_within(values, expected, num_se=4.0):
    """The mean of independent values is the expected one, up to their own standard error."""
    values = np.asarray(values, np.float64)
    assert abs(values.mean() - expected) <= num_se * values.std(ddof=1) / np.sqrt(len(values))


def assert_same_mean(values, others, num_se=4.0):
    se = np.hypot(*(x.std(axis=0, ddof=1) / np.sqrt(len(x)) for x in (values, others)))
    assert (np.abs(values.mean(axis=0) - others.mean(axis=0)) < num_se * se).all()


def programs(diffusion):
    return partial(reverse_chain, diffusion), partial(forward_chain, diffusion)


def draws(objective, model, guide, *args, num=200, params=None, **kwargs):
    """Independent estimates of the bound, summed over the data."""

    def one(key):
        return -objective.loss(key, params or {}, model, guide, *args, **kwargs)

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, num)), np.float64)


def value(objective, model, guide, *args):
    """One estimate."""
    return float(jax.jit(lambda key: -objective.loss(key, {}, model, guide, *args))(KEY))
