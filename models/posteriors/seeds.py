"""`seeds`: how many seeds germinated on 21 plates, by kind of seed and of root extract, each plate with an effect."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl.models.posteriors._target import Data, Target, exactly

GERMINATED = np.array([10, 23, 23, 26, 17, 5, 53, 55, 32, 46, 10, 8, 10, 8, 23, 0, 3, 22, 15, 32, 3])
TOTAL = np.array([39, 62, 81, 51, 39, 6, 74, 72, 51, 79, 13, 16, 30, 28, 45, 4, 12, 41, 30, 51, 7])
SEED = np.repeat([0, 1], [11, 10])
EXTRACT = np.repeat([0, 1, 0, 1], [5, 6, 5, 5])
DESIGN = np.stack([np.ones(21), SEED, EXTRACT, SEED * EXTRACT], axis=1)
"""Intercept, seed, root extract, and both together."""


def seeds() -> Target:
    """Coefficients N(0, 10), precision tau ~ Gamma(0.01, 0.01) of the effects b ~ N(0, 1 / sqrt(tau)) of the plates.

    The priors are those of Geffner and Domke (2021), MCMC variational inference via uncorrected Hamiltonian annealing.
    """

    def model(design: Data, total: Data, germinated: Data) -> None:
        tau = numpyro.sample("tau", dist.Gamma(0.01, 0.01))
        coefficients = numpyro.sample("coefficients", dist.Normal(0.0, 10.0).expand([design.shape[1]]).to_event(1))
        with numpyro.plate("plate", len(total)):
            b = numpyro.sample("b", dist.Normal(0.0, 1 / jnp.sqrt(tau)))
            logits = design @ coefficients + b
            numpyro.sample("germinated", dist.Binomial(total, logits=logits), obs=germinated)

    return Target(
        name="seeds",
        model=model,
        args=(DESIGN, TOTAL, GERMINATED),
        log_evidence=exactly(-73.40618),
        obtained="quadrature over the effects one by one, over the coefficients and over log tau",
        source="Crowder (1978), Beta-binomial Anova for proportions, table 3",
    )
