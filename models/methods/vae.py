"""`vae` and `iwae`: autoencoders of one latent vector, trained on the ELBO or on the importance-weighted bound."""

from functools import partial

import jax
import numpyro
import numpyro.distributions as dist
from numpyro.contrib.module import eqx_module
from numpyro.infer import TraceMeanField_ELBO
from numpyro.infer.elbo import ELBO

from dpm_ppl._common.types import Batch
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.experiments import Recipe
from dpm_ppl.methods.program import Program
from dpm_ppl.models._parts import adam, network_key
from dpm_ppl.models.methods._parts import (
    NARROW,
    diagonal_normal,
    is_small,
    num_data,
    num_latents,
    perceptron,
    updates_for,
)
from dpm_ppl.models.methods.observations import Observations
from dpm_ppl.objectives.importance_weighted import importance_weighted_elbo

NUM_PARTICLES = 8


def vae(train: Dataset, seed: int = 0) -> Recipe:
    """A variational autoencoder with a standard normal prior and a diagonal normal guide (Kingma and Welling 2014)."""
    return _recipe(train, seed, TraceMeanField_ELBO(), 50_000)


def iwae(train: Dataset, seed: int = 0) -> Recipe:
    """The same networks trained on the bound of 8 importance-weighted particles (Burda, Grosse, Salakhutdinov 2016)."""
    return _recipe(train, seed, importance_weighted_elbo(NUM_PARTICLES), 8_000)


def program(train: Dataset, seed: int = 0, *, width: int = 128, depth: int = 2) -> Program:
    """z ~ N(0, I), x_0 ~ law(decoder(z)); the guide is q(z | x_0) = N(encoder(x_0))."""
    observations, size = Observations.of(train), num_latents(train)
    encoder_key, decoder_key = jax.random.split(network_key(seed))
    encoder = perceptron(observations.num_features, 2 * size, width=width, depth=depth, key=encoder_key)
    decoder = observations.decoder(size, width=width, depth=depth, key=decoder_key)

    def model(x_0: Batch | None = None, num_points: int | None = None) -> Batch:
        decode = eqx_module("decoder", decoder)
        with numpyro.plate("data", num_data(x_0, num_points)):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([size]).to_event(1))
            return numpyro.sample("x_0", observations.decoded(jax.vmap(decode)(z)), obs=x_0)

    def guide(x_0: Batch) -> None:
        encode = eqx_module("encoder", encoder)
        with numpyro.plate("data", len(x_0)):
            numpyro.sample("z", diagonal_normal(jax.vmap(encode)(observations.features(x_0)), NARROW))

    return Program(model, guide, event_shape=train.event_shape)


def _recipe(train: Dataset, seed: int, objective: ELBO, most_updates: int) -> Recipe:
    small, batch_size = is_small(train), min(256, train.num_points)
    return Recipe(
        method=program(train, seed, width=128 if small else 256),
        objective=objective,
        optimiser=partial(adam, learning_rate=5e-3 if small else 1e-3),
        num_updates=updates_for(train, batch_size, most_updates, 200 if small else 100),
        batch_size=batch_size,
    )
