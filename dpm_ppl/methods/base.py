"""The contract of a method: whatever gives a bound and a likelihood of independent data.

Scores, importance weights, sandwiches, runs, pages and comparisons ask nothing else of what they are given. A method of
another kind is one class with the abstract methods below; what it need not say has a default.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np

from dpm_ppl._common.checks import as_jax_holds, check_event_shape, check_kind, check_some
from dpm_ppl._common.chunks import keys_of, over_data
from dpm_ppl._common.types import Array, Batch, Cost, Datum, PerDatum, PRNGKey


class AbstractMethod(eqx.Module):
    """A model of independent data, with a bound on the log-likelihood of each and unbiased estimates of it.

    - `event_shape`: the shape of one datum.
    - `model`, `guide`: the two NumPyro programs that SVI trains, as functions of a batch of data.
    - `proposals`: kinds of proposal that can draw its importance weights (`AbstractProposal.kind`), the default first.
    """

    event_shape: eqx.AbstractVar[tuple[int, ...]]
    model: eqx.AbstractVar[Callable[..., Any]]
    guide: eqx.AbstractVar[Callable[..., Any]]
    proposals: ClassVar[tuple[str, ...]] = ("guide",)

    @abc.abstractmethod
    def with_params(self, params: Any) -> "AbstractMethod":
        """The same with the trained parameters that `SVI.get_params` or `SVIRunResult.params` holds."""

    @abc.abstractmethod
    def log_weight(self, x_0: Datum, key: PRNGKey) -> Cost:
        """The logarithm of one unbiased, positive estimate of p(x_0), nats: its mean bounds log p(x_0) from below."""

    @abc.abstractmethod
    def sample(self, key: PRNGKey, num_samples: int) -> Batch:
        """Draws of x_0 from the model, `(num_samples, *event_shape)`.

        **Raises:** `InputError` where the model cannot be drawn from.
        """

    @abc.abstractmethod
    def simulate(self, key: PRNGKey, num_data: int) -> tuple[Batch, Cost]:
        """Data from the model, `(datum, *event_shape)`, and the log-weight of what made each: E 1/w is 1 / p(x_0)."""

    def check_data(self, x_0: Array | np.ndarray, argument: str = "x_0") -> None:
        """Raise `InputError` where data do not fit; traced ones are looked at as far as they are known."""
        check_event_shape(argument, as_jax_holds(x_0, argument), self.event_shape)

    def check_trained(self, dtype: Any) -> None:
        """Raise `InputError` where parameters are still missing, for data of this dtype."""

    def check_simulation(self) -> None:
        """Raise `InputError` where its weights would be no likelihood even of the data that it simulates."""

    def is_exact(self, dtype: Any) -> bool:
        """Whether every weight of data of this dtype is the likelihood itself."""
        return False

    def bound_terms(
        self,
        x_0: np.ndarray | Array,
        key: PRNGKey,
        draw: tuple[int, int],
        *,
        num_sampled_steps: int | None = None,
        steps_chunk: int | None = None,
        data_chunk: int | None = None,
    ) -> dict[str, Any]:
        """K of every datum in one of several draws, nats, and what else the draw tells: `L_null`, if there is one.

        `draw` is the number of the draw and how many there are, so that draws may share out their noise. A chain may be
        looked at in `num_sampled_steps` of its steps; None is all, and what has no steps takes no notice. What is not
        said of the chunks follows from the memory budget.
        """
        own_key = jax.random.split(jax.random.fold_in(key, draw[0]))[1]
        return {"K": log_weights(self, x_0, own_key, data_chunk)}

    def hidden_states(self, x_0: Batch, number: Array, key: PRNGKey, steps_chunk: int | None) -> np.ndarray:
        """Log-weights by way of states that draws seldom visit, and log-ratios of how often, `(datum, state, 2)`.

        None are needed where weights vary smoothly; NaN where there may be such states and none are known.
        """
        return np.empty((len(x_0), 0, 2))

    @property
    def chain(self) -> Any:
        """The `Diffusion` whose steps can be looked at one by one, or None where the method is none."""
        return None


def log_weights(
    method: AbstractMethod, x_0: Batch | np.ndarray, key: PRNGKey, data_chunk: int | None = None
) -> PerDatum:
    """One log-weight per datum, nats: an unbiased value of the ELBO of each.

    By default at most 64 data are looked at side by side, and fewer where the memory budget says so.
    """
    return over_data(_log_weights, method, as_jax_holds(x_0), key, data_chunk=data_chunk)


@eqx.filter_jit
def _log_weights(method: AbstractMethod, x_0: Array, number: Array, key: PRNGKey, data_chunk: int) -> PerDatum:
    pairs = x_0, keys_of(key, number)
    return jax.lax.map(lambda pair: method.log_weight(*pair), pairs, batch_size=min(data_chunk, len(x_0)))


def check_method(method: Any) -> None:
    """Raise `InputError` for what is no method, as where arguments are exchanged."""
    remedy = "pass the method first, then data, then the key"
    check_kind("method", method, AbstractMethod, expected="a Diffusion, a Program or another method", remedy=remedy)


def check_scored(method: AbstractMethod, x_0: Array | np.ndarray, argument: str = "x_0") -> np.ndarray | Array:
    """The data as JAX holds them.

    **Raises:** `InputError` unless it is a method, there are data, they fit it, and it is trained.
    """
    check_method(method)
    x_0 = as_jax_holds(x_0, argument)
    method.check_data(x_0, argument)
    method.check_trained(x_0.dtype)
    check_some(argument, x_0, expected="at least one datum", remedy="pass data to score")
    return x_0
