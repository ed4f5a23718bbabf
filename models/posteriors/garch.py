"""`garch`: a series whose variance at one time depends on values and variances before it."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl._common.types import Array
from dpm_ppl.models.posteriors._target import Data, Target, exactly

MU, OMEGA, PERSISTENCE, SHARE = 0.1, 0.2, 0.8, 0.3
"""That the series is simulated with."""


def garch(num_times: int = 200) -> Target:
    """GARCH(1, 1): y_t ~ N(mu, s_t), s_t^2 = omega + alpha (y_{t-1} - mu)^2 + beta s_{t-1}^2, always stationary.

    mu ~ N(0, 1), omega ~ half-normal(1), alpha = persistence x share and beta = persistence x (1 - share) with
    persistence ~ Beta(4, 2) and share ~ Beta(2, 2). The first variance is that of the stationary law.
    """

    def model(y: Data) -> None:
        mu = numpyro.sample("mu", dist.Normal())
        omega = numpyro.sample("omega", dist.HalfNormal(1.0))
        persistence = numpyro.sample("persistence", dist.Beta(4.0, 2.0))
        share = numpyro.sample("share", dist.Beta(2.0, 2.0))
        alpha, beta = persistence * share, persistence * (1 - share)
        first = omega / (1 - persistence)

        def step(variance: Array, before: Array) -> tuple[Array, Array]:
            after = omega + alpha * (before - mu) ** 2 + beta * variance
            return after, after

        _, later = jax.lax.scan(step, first, y[:-1])
        variances = jnp.append(first, later)
        with numpyro.plate("time", len(y)):
            numpyro.sample("y", dist.Normal(mu, jnp.sqrt(variances)), obs=y)

    return Target(
        name="garch",
        model=model,
        args=(_simulated(num_times),),
        log_evidence=exactly(-263.1894) if num_times == 200 else None,
        obtained="quadrature over all four parameters",
        source="Bollerslev (1986), Generalized autoregressive conditional heteroskedasticity; simulated",
    )


def _simulated(num_times: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, variance = np.empty(num_times), OMEGA / (1 - PERSISTENCE)
    for time in range(num_times):
        y[time] = rng.normal(MU, np.sqrt(variance))
        variance = OMEGA + PERSISTENCE * (SHARE * (y[time] - MU) ** 2 + (1 - SHARE) * variance)
    return y
