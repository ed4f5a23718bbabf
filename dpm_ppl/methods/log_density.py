"""`LogDensity`: a known log-density of data, given as a function, as a method like any other.

For the true law of simulated data, and for a model that other software has fitted: it is scored and compared by the
same protocol as a diffusion or a program, and needs no training.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.distributions import Distribution, constraints

from dpm_ppl._common.checks import as_jax_holds, check_finite, check_key, check_kind, event_sizes, whole_number
from dpm_ppl._common.types import Array, Batch, Cost, Datum, PerDatum, PRNGKey
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.methods.program import no_latents


class LogDensity(AbstractMethod):
    """A log-density that is known exactly.

    **Arguments:**

    - `log_density`: from standardised data `(datum, *event_shape)` to nats `(datum,)`, written with `jax.numpy`.
    - `event_shape`: the shape of one datum.
    - `draw`: from a key and a number to draws `(num_samples, *event_shape)`; without it nothing can be simulated.

    What the function closes over is no parameter: there is nothing to train.

    **Raises:** `InputError` where a part is not of its kind.
    """

    log_density: Callable[[Batch], PerDatum] = eqx.field(static=True)
    event_shape: tuple[int, ...] = eqx.field(static=True, kw_only=True, converter=event_sizes)
    draw: Callable[[PRNGKey, int], Batch] | None = eqx.field(static=True, kw_only=True, default=None)

    def __check_init__(self):
        remedy = "for example lambda x: law.log_prob(x)"
        check_kind("log_density", self.log_density, Callable, expected="a function of data", remedy=remedy)

    @property
    def model(self) -> Callable[..., Any]:
        """The density as a NumPyro program that observes `x_0`."""

        def observe(x_0: Batch | np.ndarray | None = None, num_points: Any = None) -> Any:
            with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
                return numpyro.sample("x_0", _Law(self), obs=None if x_0 is None else jnp.asarray(x_0))

        return observe

    @property
    def guide(self) -> Callable[..., Any]:
        """There are no latent sites."""
        return no_latents

    def with_params(self, params: Any) -> "LogDensity":
        return self

    def check_data(self, x_0: Array | np.ndarray, argument: str = "x_0") -> None:
        AbstractMethod.check_data(self, x_0, argument)
        check_finite(as_jax_holds(x_0, argument), argument)

    def is_exact(self, dtype: Any) -> bool:
        return True

    def log_weight(self, x_0: Datum, key: PRNGKey) -> Cost:
        return self.log_density(x_0[None])[0]

    def sample(self, key: PRNGKey, num_samples: int) -> Batch:
        draw: Any = self.draw
        check_kind("draw", draw, Callable, expected="a function that draws data", remedy="LogDensity(..., draw=...)")
        return draw(check_key(key), whole_number("num_samples", num_samples))

    def simulate(self, key: PRNGKey, num_data: int) -> tuple[Batch, Cost]:
        x_0 = self.sample(key, num_data)
        return x_0, self.log_density(x_0)


class _Law(Distribution):
    """The density as NumPyro has laws."""

    arg_constraints = {}

    def __init__(self, method: LogDensity):
        self.method = method
        Distribution.__init__(self, (), method.event_shape, validate_args=False)

    @constraints.dependent_property
    def support(self):
        return constraints.independent(constraints.real, self.event_dim)

    def sample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        (num_samples,) = sample_shape or (1,)
        drawn = self.method.sample(key, num_samples)
        return drawn if sample_shape else drawn[0]

    def log_prob(self, value: Batch, intermediates: Any = None) -> Cost:
        batch = value.shape[: value.ndim - len(self.event_shape)]
        return self.method.log_density(value.reshape(-1, *self.event_shape)).reshape(batch)
