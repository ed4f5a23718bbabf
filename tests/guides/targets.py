"""Small models whose evidence is known, and a guide's weights as NumPyro's own functions have them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.infer.autoguide import AutoNormal

from dpm_ppl._common.numpyro_seam import set_up, weighed_draw
from dpm_ppl.guides import AutoDiffusion, Bridge, Exchanged
from dpm_ppl.networks import TimeMLP

KEY = jax.random.key(0)
OBSERVED = jnp.asarray([1.0, -0.5])
PRIOR_SCALE, NOISE = jnp.asarray([1.0, 2.0]), 0.7
CONCENTRATION, COUNTS = jnp.asarray([2.0, 3.0, 4.0]), jnp.asarray([1, 2, 3])
MIXED = jnp.asarray([[1.0, 0.8], [0.3, 1.0]])


def regression(y=OBSERVED):
    z = numpyro.sample("z", dist.Normal(0, PRIOR_SCALE).to_event(1))
    numpyro.sample("y", dist.Normal(MIXED @ z, NOISE).to_event(1), obs=y)


def regression_evidence(y=OBSERVED) -> float:
    """Of `regression`, in closed form."""
    covariance = MIXED @ jnp.diag(PRIOR_SCALE**2) @ MIXED.T + NOISE**2 * jnp.eye(2)
    return float(dist.MultivariateNormal(jnp.zeros(2), covariance).log_prob(y))


def regression_posterior(y=OBSERVED) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of `regression`."""
    covariance = np.linalg.inv(np.diag(1 / np.asarray(PRIOR_SCALE) ** 2) + MIXED.T @ MIXED / NOISE**2)
    return covariance @ MIXED.T @ y / NOISE**2, covariance


def counts(y=4.0):
    rate = numpyro.sample("rate", dist.Gamma(3.0, 1.0))
    numpyro.sample("y", dist.Poisson(rate), obs=y)


def shares():
    p = numpyro.sample("p", dist.Dirichlet(CONCENTRATION))
    numpyro.sample("y", dist.Multinomial(6, p), obs=COUNTS)


def coin():
    p = numpyro.sample("p", dist.Beta(2.0, 3.0))
    numpyro.sample("y", dist.Binomial(5, p), obs=2)


def correlations():
    numpyro.sample("L", dist.LKJCholesky(3, 2.0))


def scales():
    numpyro.sample("small", dist.Normal(0.0, 1e-3))
    numpyro.sample("large", dist.Normal(0.0, 1e3))


class Known(NamedTuple):
    """A model, its log evidence, and the params of a mean-field base that is wider, where one near 1 will not do."""

    model: Callable
    log_evidence: float
    base_params: dict[str, Any] | None = None


_WIDE = {
    "small_auto_base_loc": jnp.zeros(()),
    "small_auto_base_scale": jnp.asarray(1.2e-3),
    "large_auto_base_loc": jnp.zeros(()),
    "large_auto_base_scale": jnp.asarray(1.2e3),
}
KNOWN = {
    "normal": Known(regression, regression_evidence()),
    "positive": Known(counts, float(dist.GammaPoisson(3.0, 1.0).log_prob(4))),
    "simplex": Known(shares, float(dist.DirichletMultinomial(CONCENTRATION, 6).log_prob(COUNTS))),
    "interval": Known(coin, float(dist.BetaBinomial(2.0, 3.0, 5).log_prob(2))),
    "correlations": Known(correlations, 0.0),
    "scales": Known(scales, 0.0, _WIDE),
}

small_network = partial(TimeMLP, width=8, depth=1, num_time_frequencies=1)
CHAINS = {"bridge": partial(Bridge, network=small_network), "exchanged": partial(Exchanged, network=small_network)}


def wide_guide(known: Known, num_steps: int, chains: str) -> AutoDiffusion:
    """On a base near the middle of the target, and wider."""
    options = {"init_loc_fn": numpyro.infer.init_to_median(num_samples=50), "init_scale": 1.0, "prefix": "auto_base"}
    base = AutoNormal(known.model, **options)
    return AutoDiffusion(known.model, base, num_steps, chains=CHAINS[chains], base_params=known.base_params)


def seen(guide: Any, *args: Any) -> dict[str, Any]:
    """The first params of a guide, that has seen its model now."""
    with handlers.block():
        set_up(guide, KEY, args, {})

    def params() -> dict[str, Any]:
        sites = handlers.trace(handlers.seed(guide, KEY)).get_trace(*args)
        return {name: site["value"] for name, site in sites.items() if site["type"] == "param"}

    return eqx.filter_jit(params)()


def shaken(guide: AutoDiffusion, params: dict[str, Any], size: float, seed: int = 1) -> dict[str, Any]:
    """Params with chains that have been moved at random from where they start."""
    name = f"{guide.chain_site}$params"
    flat, restored = ravel_pytree(params[name])
    return {**params, name: restored(flat + size * jax.random.normal(jax.random.key(seed), flat.shape, flat.dtype))}


def log_weight(model: Callable, guide: Any, params: dict[str, Any], key: Any, *args: Any) -> tuple[Any, Any, Any]:
    """log p - log q of one draw by NumPyro's traces, and these."""
    pair = handlers.seed(model, 1), handlers.seed(guide, key)
    of_model, of_guide = weighed_draw(*pair, args, {}, params)
    log_p, log_q = (
        sum(jnp.sum(site["log_prob"]) for site in trace.values() if site["type"] == "sample")
        for trace in (of_model, of_guide)
    )
    return log_p - log_q, of_model, of_guide


def log_weights(model: Callable, guide: Any, params: dict[str, Any], num: int, *args: Any, seed: int = 5) -> np.ndarray:
    """Of `num` draws."""
    keys = jax.random.split(jax.random.key(seed), num)
    weigh = eqx.filter_jit(jax.vmap(lambda key: log_weight(model, guide, params, key, *args)[0]))
    return np.asarray(weigh(keys), np.float64)
