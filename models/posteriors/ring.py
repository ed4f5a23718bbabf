"""`ring`: a point in the plane whose squared length alone is seen, so that the posterior lies around a circle."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import TruncatedNormal
from scipy.stats import norm

from dpm_ppl._common.types import PRNGKey
from dpm_ppl.models.posteriors._target import Target, exactly

OBSERVED, NOISE, PRIOR = 4.0, 0.5, 2.0


def ring() -> Target:
    """w ~ N(0, 2^2) in the plane, and y = 4 ~ N(w'w, 0.5).

    The prior law of s = w'w is exponential with mean 8, so that the evidence is the integral of a normal density over
    s > 0, and the posterior of s a truncated normal law with an angle that is uniform.
    """
    rate = 1 / (2 * PRIOR**2)
    loc = OBSERVED - rate * NOISE**2

    def model(y: float) -> None:
        w = numpyro.sample("w", dist.Normal(0.0, PRIOR).expand([2]).to_event(1))
        numpyro.sample("y", dist.Normal(jnp.sum(w**2), NOISE), obs=y)

    def draw(key: PRNGKey, num: int) -> dict[str, np.ndarray]:
        length_key, angle_key = jax.random.split(key)
        length = jnp.sqrt(TruncatedNormal(loc, NOISE, low=0.0).sample(length_key, (num,)))
        angle = jax.random.uniform(angle_key, (num,), maxval=2 * jnp.pi)
        return {"w": np.asarray(length[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1))}

    log_evidence = np.log(rate) - rate * OBSERVED + (rate * NOISE) ** 2 / 2 + norm.logcdf(loc / NOISE)
    return Target(
        name="ring",
        model=model,
        args=(OBSERVED,),
        log_evidence=exactly(float(log_evidence)),
        obtained="in closed form",
        draw=draw,
    )
