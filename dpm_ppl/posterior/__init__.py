"""Posteriors with a trained diffusion as the prior. Come here to denoise, to fill in, and to infer in general.

- `condition` takes a diffusion, a likelihood and what was observed, and gives a `Posterior`: draws, weights, evidence
  and a verdict. `condition_each` takes several observations.
- The methods: `SMC` (start here), `Twist` (exact for linear chains and few bits, quick and approximate else), `Gibbs`
  (few particles, many sweeps), `Variational` (a trained guide, for one observation or for many), `MCMC` (NUTS, for
  small problems), `Paper` (as published, biased).
- `latent` puts x_0 of a diffusion into a NumPyro program of your own, beside other latents.
"""

from dpm_ppl.posterior.condition import condition, condition_each
from dpm_ppl.posterior.latent import latent
from dpm_ppl.posterior.methods import MCMC, SMC, AbstractConditioning, Gibbs, Paper, Twist, Variational
from dpm_ppl.posterior.result import Posterior

__all__ = [
    "MCMC",
    "SMC",
    "AbstractConditioning",
    "Gibbs",
    "Paper",
    "Posterior",
    "Twist",
    "Variational",
    "condition",
    "condition_each",
    "latent",
]
