"""Ways to draw from a posterior, one a file. `SMC` is the one to start with; `Paper` is what was published."""

from dpm_ppl.posterior.methods.base import AbstractConditioning, Drawn
from dpm_ppl.posterior.methods.gibbs import Gibbs
from dpm_ppl.posterior.methods.mcmc import MCMC
from dpm_ppl.posterior.methods.plain import Paper, Twist
from dpm_ppl.posterior.methods.smc import SMC
from dpm_ppl.posterior.methods.svi import Variational

__all__ = ["MCMC", "SMC", "AbstractConditioning", "Drawn", "Gibbs", "Paper", "Twist", "Variational"]
