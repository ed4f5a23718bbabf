"""The smallest program worth fitting: a linear Normal model of the data whose network is an Equinox module."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro.contrib.module import eqx_module
from numpyro.infer import SVI, Trace_ELBO

DATA = np.random.default_rng(7).normal(2.0, 0.5, size=(50, 3)).astype(np.float32)


def model(batch):
    """Data are Normal around a latent code's linear image; the scale is a constrained parameter."""
    decoder: Any = eqx_module("decoder", eqx.nn.Linear(2, 3, key=jax.random.key(1)))
    scale = numpyro.param("scale", jnp.ones(3), constraint=dist.constraints.positive)
    with numpyro.plate("data", batch.shape[0]):
        code = numpyro.sample("code", dist.Normal(0.0, jnp.ones(2)).to_event(1))
        numpyro.sample("x", dist.Normal(jax.vmap(decoder)(code), scale).to_event(1), obs=batch)


def guide(batch):
    """A linear encoder with a fixed width."""
    encoder: Any = eqx_module("encoder", eqx.nn.Linear(3, 2, key=jax.random.key(2)))
    with numpyro.plate("data", batch.shape[0]):
        numpyro.sample("code", dist.Normal(jax.vmap(encoder)(batch), 0.5 * jnp.ones(2)).to_event(1))


def make_svi(optimiser=None):
    """An `SVI` of its own, as a new process would make it."""
    return SVI(model, guide, optimiser or optax.adam(1e-2), loss=Trace_ELBO())


def flat(tree):
    """Every number of a pytree in one NumPy array."""

    def numbers(leaf):
        is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf, np.float64).ravel()

    return np.concatenate([numbers(leaf) for leaf in jax.tree.leaves(tree)])
