"""`gaussian_process`: counts along a line, whose log rate is a Gaussian process with unknown scales."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl.estimates import Estimate
from dpm_ppl.models.posteriors._target import Data, Target

JITTER = 1e-4
"""Share of the variance that each place has to itself, so that float32 can factorise the covariance."""


def gaussian_process(num_places: int = 24) -> Target:
    """Counts at places between 0 and 1: f = amplitude L(length) noise, y ~ Poisson(exp(f)), squared exponential.

    length ~ inverse Gamma(5, 1), amplitude ~ half-normal(1). The counts are simulated, from a rate that rises and
    falls once.
    """
    places = np.linspace(0, 1, num_places)
    rate = np.exp(1.0 + 1.2 * np.sin(2 * np.pi * places))
    observed = np.random.default_rng(0).poisson(rate)

    def model(places: Data, counts: Data) -> None:
        length = numpyro.sample("length", dist.InverseGamma(5.0, 1.0))
        amplitude = numpyro.sample("amplitude", dist.HalfNormal(1.0))
        distances = (places[:, None] - places) / length
        covariance = jnp.exp(-(distances**2) / 2) + JITTER * jnp.eye(len(places))
        noise = numpyro.sample("noise", dist.Normal().expand([len(places)]).to_event(1))
        f = numpyro.deterministic("log_rate", amplitude * (jnp.linalg.cholesky(covariance) @ noise))
        with numpyro.plate("place", len(places)):
            numpyro.sample("count", dist.Poisson(jnp.exp(f)), obs=counts)

    return Target(
        name="gaussian_process",
        model=model,
        args=(places, observed),
        log_evidence=Estimate(-55.618, 0.014, 1) if num_places == 24 else None,
        obtained="bridge sampling, python -m benchmarks.posterior_evidences gaussian_process",
        source="simulated",
    )
