"""`hvae`: a variational autoencoder of two latent layers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.contrib.module import eqx_module
from numpyro.infer import TraceMeanField_ELBO

from dpm_ppl._common.types import Array, Batch
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.experiments import Recipe
from dpm_ppl.methods.program import Program
from dpm_ppl.models._parts import adam, network_key
from dpm_ppl.models.methods._parts import (
    NARROW,
    diagonal_normal,
    is_small,
    loc_and_scale,
    num_data,
    num_latents,
    perceptron,
    updates_for,
)
from dpm_ppl.models.methods.observations import Observations


def hvae(train: Dataset, seed: int = 0) -> Recipe:
    """A ladder variational autoencoder of two layers (Sønderby et al. 2016)."""
    small, batch_size = is_small(train), min(256, train.num_points)
    return Recipe(
        method=program(train, seed, width=128 if small else 256),
        objective=TraceMeanField_ELBO(),
        optimiser=partial(adam, learning_rate=1e-3),
        num_updates=updates_for(train, batch_size, 25_000),
        batch_size=batch_size,
    )


def program(train: Dataset, seed: int = 0, *, width: int = 128, depth: int = 2) -> Program:
    """z_2 ~ N(0, I), z_1 ~ p(z_1 | z_2), x_0 ~ law(decoder(z_1)).

    The guide goes the same way down: z_2 ~ q(z_2 | x_0), then z_1 from the product of p(z_1 | z_2) and a normal factor
    that the encoder reads off x_0.
    """
    observations, size = Observations.of(train), num_latents(train)
    keys = jax.random.split(network_key(seed), 4)
    encoder_1 = perceptron(observations.num_features, width + 2 * size, width=width, depth=depth, key=keys[0])
    encoder_2 = perceptron(width, 2 * size, width=width, depth=1, key=keys[1])
    prior_1 = perceptron(size, 2 * size, width=width, depth=1, key=keys[2])
    decoder = observations.decoder(size, width=width, depth=depth, key=keys[3])

    def model(x_0: Batch | None = None, num_points: int | None = None) -> Batch:
        down, decode = eqx_module("prior_1", prior_1), eqx_module("decoder", decoder)
        with numpyro.plate("data", num_data(x_0, num_points)):
            z_2 = numpyro.sample("z_2", dist.Normal(0.0, 1.0).expand([size]).to_event(1))
            z_1 = numpyro.sample("z_1", diagonal_normal(jax.vmap(down)(z_2)))
            return numpyro.sample("x_0", observations.decoded(jax.vmap(decode)(z_1)), obs=x_0)

    def guide(x_0: Batch) -> None:
        down = eqx_module("prior_1", prior_1)
        up_1, up_2 = eqx_module("encoder_1", encoder_1), eqx_module("encoder_2", encoder_2)
        read, factor = jnp.split(jax.vmap(up_1)(observations.features(x_0)), [width], axis=-1)
        with numpyro.plate("data", len(x_0)):
            z_2 = numpyro.sample("z_2", diagonal_normal(jax.vmap(up_2)(jax.nn.silu(read)), NARROW))
            numpyro.sample("z_1", _product(jax.vmap(down)(z_2), factor))

    return Program(model, guide, event_shape=train.event_shape)


def _product(prior: Array, factor: Array) -> dist.Distribution:
    """The normal law whose density is that of two others multiplied."""
    (loc_a, scale_a), (loc_b, scale_b) = loc_and_scale(prior), loc_and_scale(factor, NARROW)
    precision_a, precision_b = scale_a**-2, scale_b**-2
    precision = precision_a + precision_b
    return dist.Normal((precision_a * loc_a + precision_b * loc_b) / precision, precision**-0.5).to_event(1)
