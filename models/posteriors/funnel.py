"""`funnel`: normal variables whose common scale is itself log-normal."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl._common.types import PRNGKey
from dpm_ppl.models.posteriors._target import Target, exactly


def funnel(num_values: int = 9) -> Target:
    """v ~ N(0, 3) and x_i ~ N(0, exp(v / 2)), standard deviations; there are no data, and Z = 1."""

    def model() -> None:
        v = numpyro.sample("v", dist.Normal(0.0, 3.0))
        numpyro.sample("x", dist.Normal(0.0, jnp.exp(v / 2)).expand([num_values]).to_event(1))

    def draw(key: PRNGKey, num: int) -> dict[str, np.ndarray]:
        v_key, x_key = jax.random.split(key)
        v = 3 * jax.random.normal(v_key, (num,))
        x = jnp.exp(v / 2)[:, None] * jax.random.normal(x_key, (num, num_values))
        return {"v": np.asarray(v), "x": np.asarray(x)}

    return Target(
        name="funnel",
        model=model,
        log_evidence=exactly(0.0),
        obtained="a normalised density",
        draw=draw,
        source="Neal (2003), Slice sampling, section 8",
    )
