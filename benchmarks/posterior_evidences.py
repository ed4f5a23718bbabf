"""Log evidences of the zoo's posteriors by bridge sampling, beside what their files say.

    python -m benchmarks.posterior_evidences                    # all of them
    python -m benchmarks.posterior_evidences breast_cancer seeds

Draws of NUTS in float64 and unconstrained space: one half fits a normal law, the other half and draws of that law give
the evidence (Meng and Wong 1996), with an error that allows for the chains' autocorrelation (Frühwirth-Schnatter 2004).
It needs no closed form and no quadrature, so that it checks what those give, and stands where there is neither.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.flatten_util import ravel_pytree
from numpyro.diagnostics import effective_sample_size
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import initialize_model
from scipy.stats import multivariate_normal

from dpm_ppl.estimates import Estimate
from dpm_ppl.models.posteriors import POSTERIORS
from dpm_ppl.models.posteriors._target import Target

NUM_CHAINS, NUM_WARMUP = 4, 1000
MOST_TURNS = 1000


@dataclass(frozen=True)
class Options:
    """Log evidences by bridge sampling."""

    names: tyro.conf.Positional[list[str]] = field(default_factory=list)
    """Posteriors of the zoo; all if none is named."""
    num_draws: int = 5000
    """Of each of four chains."""
    seed: int = 0


def main(options: Options) -> None:
    jax.config.update("jax_enable_x64", True)
    for name in options.names or POSTERIORS:
        target = POSTERIORS[name]()
        found = bridge(target, jax.random.key(options.seed), options.num_draws)
        stated = "unknown" if target.log_evidence is None else f"{target.log_evidence.mean:.4f}"
        print(f"{name}: {found.mean:.4f} ± {found.se:.4f}, stated {stated} ({target.obtained})", flush=True)


def bridge(target: Target, key: jax.Array, num_draws: int) -> Estimate:
    """The log evidence of a target, from `num_draws` of each of four chains."""
    log_p, draws = chains(target, key, num_draws)
    size, half = draws.shape[-1], num_draws // 2
    fitted = draws[:, :half].reshape(-1, size)
    law = multivariate_normal(fitted.mean(axis=0), np.cov(fitted.T).reshape(size, size))
    own = draws[:, half:]
    others = np.asarray(law.rvs(own.shape[0] * own.shape[1], random_state=0)).reshape(-1, size)
    log_weights = [log_p(values) - law.logpdf(values) for values in (own.reshape(-1, size), others)]
    return optimal_bridge(*log_weights, num_chains=len(own))


def chains(target: Target, key: jax.Array, num_draws: int) -> tuple[Any, np.ndarray]:
    """The log-density over unconstrained vectors `(draw, coordinate)`, and draws `(chain, draw, coordinate)`."""
    args = jax.tree.map(jnp.asarray, target.args)
    start = initialize_model(key, target.model, model_args=args)
    mcmc = MCMC(
        NUTS(potential_fn=start.potential_fn, dense_mass=True, target_accept_prob=0.95),
        num_warmup=NUM_WARMUP,
        num_samples=num_draws,
        num_chains=NUM_CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    begin = jax.tree.map(lambda leaf: jnp.stack([leaf] * NUM_CHAINS), start.param_info.z)
    mcmc.run(key, init_params=begin)
    draws = jax.vmap(jax.vmap(lambda one: ravel_pytree(one)[0]))(mcmc.get_samples(group_by_chain=True))
    _, as_sites = ravel_pytree(start.param_info.z)
    density = jax.jit(jax.vmap(lambda vector: -start.potential_fn(as_sites(vector))))
    return lambda values: np.asarray(density(jnp.asarray(values))), np.asarray(draws)


def optimal_bridge(of_posterior: np.ndarray, of_law: np.ndarray, num_chains: int) -> Estimate:
    """log Z from log p - log q at draws of the posterior, chain after chain, and of q."""
    effective = min(float(effective_sample_size(of_posterior.reshape(num_chains, -1))), len(of_posterior))
    share = effective / (effective + len(of_law))
    log_z = float(np.median(of_law))
    for _ in range(MOST_TURNS):
        upper = of_law - np.logaddexp(np.log(share) + of_law, np.log1p(-share) + log_z)
        lower = -np.logaddexp(np.log(share) + of_posterior, np.log1p(-share) + log_z)
        before, log_z = log_z, float(_log_mean(upper) - _log_mean(lower))
        if abs(log_z - before) < 1e-10:
            break
    upper, lower = (np.exp(values - _log_mean(values)) for values in (upper, lower))
    variance = upper.var() / len(upper) + lower.var() / effective
    return Estimate(log_z, float(np.sqrt(variance)), len(of_posterior))


def _log_mean(values: np.ndarray) -> float:
    return float(np.logaddexp.reduce(values) - np.log(len(values)))


if __name__ == "__main__":
    main(tyro.cli(Options))
