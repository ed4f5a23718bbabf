"""`eight_schools`, `eight_schools_centred`: effects of coaching in eight schools, in two parametrisations."""

import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl._common.types import Array
from dpm_ppl.models.posteriors._target import Data, Target, exactly

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
LOG_EVIDENCE = -31.311347
SOURCE = "Rubin (1981); Gelman et al. (2013), Bayesian Data Analysis, section 5.5"
_ABOUT = {
    "args": (EFFECTS, ERRORS),
    "log_evidence": exactly(LOG_EVIDENCE),
    "obtained": "quadrature over mu and tau, with the effects integrated out",
    "source": SOURCE,
}


def _hyperparameters() -> tuple[Array, Array]:
    return numpyro.sample("mu", dist.Normal(0.0, 5.0)), numpyro.sample("tau", dist.HalfCauchy(5.0))


def eight_schools() -> Target:
    """mu ~ N(0, 5), tau ~ half-Cauchy(5); effects mu + tau eta_j, eta_j ~ N(0, 1), seen with known errors."""

    def model(effects: Data, errors: Data) -> None:
        mu, tau = _hyperparameters()
        with numpyro.plate("school", len(effects)):
            eta = numpyro.sample("eta", dist.Normal())
            theta = numpyro.deterministic("theta", mu + tau * eta)
            numpyro.sample("effect", dist.Normal(theta, errors), obs=effects)

    return Target(name="eight_schools", model=model, **_ABOUT)


def eight_schools_centred() -> Target:
    """The same, its effects theta_j ~ N(mu, tau) latent themselves: a funnel in tau."""

    def model(effects: Data, errors: Data) -> None:
        mu, tau = _hyperparameters()
        with numpyro.plate("school", len(effects)):
            theta = numpyro.sample("theta", dist.Normal(mu, tau))
            numpyro.sample("effect", dist.Normal(theta, errors), obs=effects)

    return Target(name="eight_schools_centred", model=model, **_ABOUT)
