"""Models whose evidence is known, each with a guide that is not quite its posterior."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro import handlers
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoDAIS, AutoDiagonalNormal, AutoIAFNormal, AutoMultivariateNormal, AutoNormal
from scipy.special import betaln, gammaln
from scipy.stats import norm

from dpm_ppl._common.numpyro_seam import set_up
from tests.instances import instance

NOISE = 0.5
Y = np.array([0.3, -1.2, 0.8], np.float32)


def normal(y):
    with numpyro.plate("data", len(y)):
        z = numpyro.sample("z", dist.Normal())
        numpyro.sample("y", dist.Normal(z, NOISE), obs=y)


LOG_Z_NORMAL = float(norm.logpdf(Y, scale=math.hypot(1, NOISE)).sum())
BEST = {"slope": np.float64(1 / (1 + NOISE**2)), "scale": np.float64(NOISE / math.hypot(1, NOISE))}


def at(slope=BEST["slope"], scale=BEST["scale"]):
    """Params of `normal_guide`, by default those of the posterior; as arrays, so that others compile nothing anew."""
    return {"slope": np.float64(slope), "scale": np.float64(scale)}


def normal_guide(y):
    slope = numpyro.param("slope", 0.5)
    scale = numpyro.param("scale", 0.5, constraint=dist.constraints.positive)
    with numpyro.plate("data", len(y)):
        numpyro.sample("z", dist.Normal(slope * y, scale))


def scaled(y):
    """Exponential waiting times of an unknown rate, whose logarithm the guide draws as an auxiliary site."""
    rate = numpyro.sample("rate", dist.Gamma(3.0, 2.0))
    numpyro.sample("y", dist.Exponential(rate).expand([len(y)]).to_event(1), obs=y)


def scaled_guide(y):
    log_rate = numpyro.sample("log_rate", dist.Normal(0.1, 0.5), infer={"is_auxiliary": True})
    numpyro.sample("rate", dist.Delta(jnp.exp(log_rate), log_density=-log_rate))


WAITS = np.abs(Y)
LOG_Z_SCALED = float(3 * np.log(2) - gammaln(3) + gammaln(6) - 6 * np.log(2 + WAITS.sum()))


def coin(num, heads):
    p = numpyro.sample("p", dist.Beta(2.0, 3.0))
    numpyro.sample("heads", dist.Binomial(num, p), obs=heads)


LOG_Z_COIN = float(gammaln(11) - gammaln(8) - gammaln(4) + betaln(9, 6) - betaln(2, 3))


def counts(y):
    p = numpyro.sample("p", dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])))
    numpyro.sample("y", dist.Multinomial(10, p), obs=y)


COUNTS = np.array([5, 3, 2])
_PRIOR = np.array([1.0, 2.0, 3.0])
LOG_Z_COUNTS = float(
    gammaln(11)
    - gammaln(COUNTS + 1).sum()
    + gammaln(6)
    - gammaln(16)
    + (gammaln(COUNTS + _PRIOR) - gammaln(_PRIOR)).sum()
)


def augmented_guide(y):
    """A scale mixture, whose scale is drawn; `augmented` has a law for it in the other direction."""
    scale = numpyro.sample("scale", dist.LogNormal(-0.8, 0.3))
    with numpyro.plate("data", len(y)):
        numpyro.sample("z", dist.Normal(0.8 * y, scale))


def augmented(y):
    normal(y)
    numpyro.sample("scale", dist.LogNormal(-0.7, 0.25))


def switched(y):
    """One component for all data, a discrete latent that the guide draws."""
    which = numpyro.sample("which", dist.Bernoulli(0.3))
    numpyro.sample("y", dist.Normal(0.5 * which, 1.0).expand([len(y)]).to_event(1), obs=y)


def switched_guide(y):
    numpyro.sample("which", dist.Bernoulli(0.35))


LOG_Z_SWITCHED = float(np.logaddexp(np.log(0.7) + norm.logpdf(Y).sum(), np.log(0.3) + norm.logpdf(Y, loc=0.5).sum()))


class Known(NamedTuple):
    """A model, how to make a guide of it, what to call both with, its log evidence, and how many updates to fit by.

    Without any, the guide has `params`.
    """

    model: Callable[..., Any]
    guide: Callable[[Any], Any]
    args: tuple[Any, ...]
    log_z: float
    updates: int | None = 300
    params: dict[str, Any] = {}


def as_it_is(guide):
    return lambda model: guide


_KNOWN = {
    "normal, program": Known(normal, as_it_is(normal_guide), (Y,), LOG_Z_NORMAL, None, at(0.5, 0.5)),
    "normal, auxiliary scale": Known(augmented, as_it_is(augmented_guide), (Y,), LOG_Z_NORMAL, None),
    "positive, auxiliary logarithm": Known(scaled, as_it_is(scaled_guide), (WAITS,), LOG_Z_SCALED, None),
    "interval, AutoNormal": Known(coin, AutoNormal, (10, 7), LOG_Z_COIN),
    "discrete, program": Known(switched, as_it_is(switched_guide), (Y,), LOG_Z_SWITCHED, None),
    "simplex, AutoDiagonalNormal": Known(counts, AutoDiagonalNormal, (COUNTS,), LOG_Z_COUNTS),
    "normal, AutoMultivariateNormal": Known(normal, AutoMultivariateNormal, (Y,), LOG_Z_NORMAL),
    "normal, AutoIAFNormal": Known(normal, AutoIAFNormal, (Y,), LOG_Z_NORMAL, 1000),
    "normal, AutoDAIS": Known(normal, AutoDAIS, (Y,), LOG_Z_NORMAL),
}
_QUICK = {"normal, program", "positive, auxiliary logarithm", "simplex, AutoDiagonalNormal"}
KNOWN = [instance(known, quick=name in _QUICK, name=name) for name, known in _KNOWN.items()]


def fitted(model, guide, args, updates, rate=1e-2):
    """Params of an automatic guide after some updates, in one compiled program."""
    with handlers.block():
        set_up(guide, jax.random.key(1), args, {})
    svi = SVI(model, guide, optax.adam(rate), Trace_ELBO(num_particles=4))
    return jax.jit(lambda key: svi.run(key, updates, *args, progress_bar=False).params)(jax.random.key(1))


def two_modes():
    """A mixture of two narrow normal laws of weights 0.7 and 0.3, far apart; Z = 1."""
    numpyro.sample("z", TWO_MODES)


TWO_MODES = dist.MixtureSameFamily(
    dist.Categorical(probs=jnp.array([0.7, 0.3])), dist.Normal(jnp.array([-3.0, 3.0]), jnp.array([0.5, 0.5]))
)


def one_mode_guide():
    numpyro.sample("z", dist.Normal(-3.0, 0.5))


def exact_draws(num, key=0):
    return {"z": np.asarray(TWO_MODES.sample(jax.random.key(key), (num,)))}
