"""Parts of which tests build programs of data: z ~ N(0, 1) and x_0 | z ~ N(z, 0.5^2), one datum beside the other."""

import numpy as np
import numpyro
import numpyro.distributions as dist

S = 0.5
STANDARD = dist.Normal(0.0, 1.0)
AUXILIARY = {"is_auxiliary": True}
X_0 = np.random.default_rng(0).normal(scale=np.hypot(1, S), size=(100, 1)).astype(np.float32)


def plate(x_0, num_points=None, **options):
    """The plate of the data, observed or drawn."""
    return numpyro.plate("data", num_points if x_0 is None else len(x_0), **options)


def observe(z, x_0, name="x_0"):
    return numpyro.sample(name, dist.Normal(z[..., None], S).to_event(1), obs=x_0)


def model(x_0=None, num_points=None, prior=STANDARD, name="z", then=lambda z: z):
    with plate(x_0, num_points):
        return observe(then(numpyro.sample(name, prior)), x_0)


def from_prior(x_0, law=STANDARD):
    """A guide that does not look at the data."""
    with plate(x_0):
        numpyro.sample("z", law)


def given(law):
    """A model with this law of x_0, and the guide."""

    def other(x_0=None, num_points=None):
        with plate(x_0, num_points):
            numpyro.sample("z", STANDARD)
            return numpyro.sample("x_0", law, obs=x_0)

    return other, from_prior
