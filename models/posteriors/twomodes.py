"""`two_modes`: a density with two maxima, far apart: what a guide with one of them misses."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl._common.types import PRNGKey
from dpm_ppl.models.posteriors._target import Target, exactly

WEIGHTS = (0.7, 0.3)


def two_modes(separation: float = 6.0) -> Target:
    """Two spherical normal laws in the plane, of standard deviation 0.5, `separation` apart along each axis; Z = 1."""
    locs = separation / 2 * jnp.array([[-1.0, -1.0], [1.0, 1.0]])
    law = dist.MixtureSameFamily(dist.Categorical(probs=jnp.array(WEIGHTS)), dist.Normal(locs, 0.5).to_event(1))

    def model() -> None:
        numpyro.sample("z", law)

    def draw(key: PRNGKey, num: int) -> dict[str, np.ndarray]:
        return {"z": np.asarray(law.sample(key, (num,)))}

    return Target(
        name="two_modes",
        model=model,
        log_evidence=exactly(0.0),
        obtained="a normalised density",
        draw=draw,
    )
