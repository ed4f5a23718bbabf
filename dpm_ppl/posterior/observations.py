"""What an observation says of x_0: r(x_0), in the few forms that the twists know how to use.

All of them act on one datum or many, `(*batch, *event_shape)`, in the units that the diffusion works in.
"""

import abc
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool
from numpyro import handlers

from dpm_ppl._common.checks import short
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Batch, Cost, Datum, Float

MOST_STATES = 256
"""Of data of few levels, up to which all of them are gone through."""


class AbstractObservation(eqx.Module):
    """r(x_0), the likelihood of what was observed as a function of x_0; for exact observations a density of them.

    `log_det` is what an evidence lacks to be that of the observation in the units it was given in; `source` is the
    likelihood that it was recognised in, if there is one.
    """

    event_shape: eqx.AbstractVar[tuple[int, ...]]
    log_det: eqx.AbstractVar[float]
    source: eqx.AbstractVar["AnyLikelihood | None"]

    @abc.abstractmethod
    def log_prob(self, x_0: Batch) -> Cost:
        """log r(x_0), in nats; -inf where x_0 contradicts the observation."""

    def _flat(self, x_0: Batch) -> Array:
        return x_0.reshape(*x_0.shape[: x_0.ndim - len(self.event_shape)], -1)


class NormalCoordinates(AbstractObservation):
    """Some coordinates, each with normal noise of its own: y_i ~ N(x_0,i, variance_i) where `seen`.

    `value`, `variance` and `seen` have the event shape. A variance of 0 is an exact observation.
    """

    value: Datum
    variance: Datum
    seen: Bool[Array, "*event"]
    event_shape: tuple[int, ...] = eqx.field(static=True)
    log_det: float = 0.0
    source: "AnyLikelihood | None" = None

    def log_prob(self, x_0: Batch) -> Cost:
        exact = self.variance <= 0
        spread = jnp.where(exact, 1.0, self.variance)
        noisy = -0.5 * ((self.value - x_0) ** 2 / spread + jnp.log(2 * math.pi * spread))
        held = jnp.where(self.value == x_0, 0.0, -jnp.inf)
        return jnp.where(self.seen, jnp.where(exact, held, noisy), 0.0).sum(axis=_event_axes(self.event_shape))


class NormalLinear(AbstractObservation):
    """Linear measurements with independent normal noise: y ~ N(matrix x_0, variance), x_0 flattened.

    `matrix` is `(measurement, coordinate)`, `value` and `variance` are `(measurement,)`.
    """

    matrix: Float[Array, "measurement coordinate"]
    value: Float[Array, " measurement"]
    variance: Float[Array, " measurement"]
    event_shape: tuple[int, ...] = eqx.field(static=True)
    log_det: float = 0.0
    source: "AnyLikelihood | None" = None

    def log_prob(self, x_0: Batch) -> Cost:
        apart = self.value - self._flat(x_0) @ self.matrix.T
        return -0.5 * (apart**2 / self.variance + jnp.log(2 * math.pi * self.variance)).sum(axis=-1)


class Levels(AbstractObservation):
    """Factors for each coordinate of few values: r(x_0) = prod_i r_i(x_0,i), such as bits flipped with a known rate.

    `log_factors` are log r_i(u) for the values u = 0 ... K - 1. What is none of these, a mask, says nothing.
    """

    log_factors: Float[Array, "*event levels"]
    event_shape: tuple[int, ...] = eqx.field(static=True)
    log_det: float = 0.0
    source: "AnyLikelihood | None" = None

    def log_prob(self, x_0: Batch) -> Cost:
        index, num = x_0.astype(jnp.int32)[..., None], self.log_factors.shape[-1]
        factors = self.log_factors.reshape(*[1] * (x_0.ndim - len(self.event_shape)), *self.log_factors.shape)
        found = jnp.take_along_axis(factors, jnp.minimum(index, num - 1), axis=-1)
        return jnp.where(index < num, found, 0.0)[..., 0].sum(axis=_event_axes(self.event_shape))


def all_states(num_levels: int, event_shape: tuple[int, ...]) -> Batch:
    """Every datum of these levels, the first coordinate running fastest, `(num_levels ** size, *event_shape)`."""
    size = math.prod(event_shape)
    states = np.arange(num_levels**size)[:, None] // num_levels ** np.arange(size) % num_levels
    return jnp.asarray(states.reshape(-1, *event_shape), jnp.int32)


class AnyLikelihood(AbstractObservation):
    """Any likelihood: the law of `value` given one x_0 in the units of the data, scale x_0 + shift.

    The law is a function that stays the same from one observation to the next, so that nothing is compiled anew.
    """

    law: Callable[[Datum], Distribution]
    value: Batch
    shift: Batch
    scale: Batch
    event_shape: tuple[int, ...] = eqx.field(static=True)
    log_det: float = 0.0
    source: None = None

    def log_prob(self, x_0: Batch) -> Cost:
        def one(x_0: Datum) -> Cost:
            return jnp.sum(self.law_of(x_0).log_prob(self.value))

        batch_shape = x_0.shape[: x_0.ndim - len(self.event_shape)]
        return jax.vmap(one)(x_0.reshape(-1, *self.event_shape)).reshape(batch_shape)

    def pointwise(self, x_0: Batch) -> Float[Array, "draw *measurement"]:
        """Log-density of each measurement given each draw `(draw, *event_shape)`; NaN where nothing was observed."""
        seen = ~jnp.isnan(self.value)
        value = jnp.where(seen, self.value, 0)  # which every law of single coordinates can give
        found = jax.vmap(lambda x_0: self.law_of(x_0).log_prob(value))(x_0)
        return found if seen.all() else jnp.where(seen, found, jnp.nan)

    def law_of(self, x_0: Datum) -> Distribution:
        """The law of the observation given one x_0; bits come to it as real numbers."""
        return law_from(self.law, x_0.astype(self.scale.dtype) * self.scale + self.shift)


def for_methods(observation: AbstractObservation) -> AbstractObservation:
    """What methods need of it: a number or a function of Python's would compile them anew for each observation."""
    return replace(observation, log_det=0.0, source=None)


def law_from(likelihood: Callable[[Datum], Any], x_0: Datum) -> Distribution:
    """What a function from x_0 to a law returns, or the law of the one site of a NumPyro model.

    **Raises:** `InputError` where it is neither.
    """
    expected = "a function from x_0 to a NumPyro distribution, or a model with one sample site"
    remedy = "for example lambda x_0: dist.Normal(x_0, 0.5)"
    if isinstance(likelihood, Distribution) or not callable(likelihood):
        raise InputError("likelihood", expected=expected, got=short(likelihood), remedy=remedy)
    with handlers.block(), handlers.trace() as trace, handlers.seed(rng_seed=0):
        law = likelihood(x_0)
    if isinstance(law, Distribution):
        return law
    sites: list[Any] = [site for site in trace.values() if site["type"] == "sample"]
    if len(sites) == 1 and sites[0]["scale"] is not None:
        raise InputError(
            "likelihood",
            expected="a model whose log-density is not scaled",
            got=f"a site {sites[0]['name']!r} under handlers.scale or in a subsampled plate",
            remedy="leave the scale out, or observe all of it",
        )
    if len(sites) == 1 and sites[0]["is_observed"]:
        raise InputError(
            "likelihood",
            expected="a model that leaves open what was observed",
            got=f"a site {sites[0]['name']!r} with a value of its own",
            remedy="leave out obs= and pass the value as observed",
        )
    if len(sites) == 1:
        return sites[0]["fn"]
    raise InputError(
        "likelihood",
        expected=expected,
        got=f"{type(law).__name__}, {len(sites)} sample sites",
        remedy=remedy,
    )


def _event_axes(event_shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(range(-len(event_shape), 0))
