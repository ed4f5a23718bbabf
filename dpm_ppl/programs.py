"""Any NumPyro model and guide of independent data, scored datum by datum as a diffusion is.

A `Program` is to other variational methods what a `Diffusion` is to the two chains: what is declared, trained with
`fit` and then scored, by the same protocol and on the same data.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro.infer.util import log_density

from dpm_ppl._errors import InputError
from dpm_ppl._sites import SiteFacts, facts_of, fault_of, has_params
from dpm_ppl._types import Array, Batch, Cost, Datum, PerDatum, PRNGKey
from dpm_ppl.chains import sample
from dpm_ppl.diffusion import Diffusion, check_array


def no_latents(x_0: Batch | None = None) -> None:
    """The guide of a model without latent variables."""


def _with_arrays(params: Any) -> Any:
    """Numbers as arrays, so that other values of them compile nothing anew."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, int | float | np.ndarray) else leaf, params)


class Program(eqx.Module):
    """A NumPyro model of data, a guide for its latent variables, and trained parameters.

    **Arguments:**

    - `model`: `model(x_0, num_points=None)` observes `x_0`, `(datum, *event_shape)`, in a plate as long as the data,
      and returns them; with `x_0` None it draws `num_points` data. Every latent site stands in that plate.
    - `guide`: `guide(x_0)` draws the latent sites. Left out, there are none, and the likelihood is exact.
    - `event_shape`: the shape of one datum.
    - `params`: values of the param sites, as `SVIRunResult.params` has them.

    **Raises:** `InputError` where a part is not of its kind.
    """

    model: Callable[..., Any] = eqx.field(static=True)
    guide: Callable[..., Any] = eqx.field(static=True, default=no_latents)
    event_shape: tuple[int, ...] = eqx.field(static=True, kw_only=True)
    params: dict[str, Any] = eqx.field(default_factory=dict, kw_only=True, converter=_with_arrays)

    def __check_init__(self):
        for name in ("model", "guide"):
            if not callable(getattr(self, name)):
                raise InputError(
                    name, expected="a NumPyro program", got=repr(getattr(self, name)), remedy="pass the function"
                )
        if not isinstance(self.event_shape, tuple) or not isinstance(self.params, dict):
            raise InputError(
                "event_shape" if isinstance(self.params, dict) else "params",
                expected="a tuple of integers, and params by site name",
                got=f"{self.event_shape!r} and {type(self.params).__name__}",
                remedy="for example event_shape=(2,), params=svi_result.params",
            )

    def with_params(self, params: dict[str, Any]) -> "Program":
        """This program with the parameters that `SVI.get_params` or `SVIRunResult.params` holds."""
        return Program(self.model, self.guide, event_shape=self.event_shape, params=params)

    def check_data(self, x_0: Array | np.ndarray, argument: str = "x_0") -> None:
        """Raise `InputError` where data do not fit, or latent sites are shared by them."""
        check_array(x_0, argument)
        if not np.shape(x_0) or np.shape(x_0)[1:] != self.event_shape:
            raise InputError(
                argument,
                expected=f"data of event shape {self.event_shape} behind one data axis",
                got=f"shape {np.shape(x_0)}",
                remedy="reshape the data, or write the program for their shape",
            )
        self._check_sites(jnp.zeros((2, *self.event_shape), np.asarray(x_0[:1]).dtype))

    def log_weight(self, x_0: Datum, key: PRNGKey) -> Cost:
        """log p(x_0, z) - log q(z | x_0) for one draw of the latent sites: the ELBO is its mean, E w = p(x_0)."""
        guide = handlers.seed(self.guide, key)
        log_q, drawn = log_density(guide, (x_0[None],), {}, self.params)
        model = handlers.replay(handlers.seed(self.model, jax.random.fold_in(key, 1)), drawn)
        log_p, _ = log_density(model, (x_0[None],), {}, self.params)
        return jnp.asarray(log_p - log_q)

    def sample(self, key: PRNGKey, num_samples: int) -> Batch:
        """Draws from the model, `(num_samples, *event_shape)`."""
        model = handlers.substitute(handlers.seed(self.model, key), data=self.params)
        return model(None, num_points=num_samples)

    def simulate(self, key: PRNGKey) -> tuple[Datum, Cost]:
        """A datum from the model, and the log-weight of the latent sites that made it: E 1/w of these is 1 / p(x_0)."""
        keys = jax.random.split(key, 3)
        with handlers.trace() as drawn, handlers.seed(rng_seed=keys[0]), handlers.substitute(data=self.params):
            x_0 = self.model(None, num_points=1)
        guide = handlers.substitute(handlers.seed(self.guide, keys[1]), data=self.params)
        behind = {name: drawn[name] for name in _latents(handlers.trace(guide).get_trace(x_0))}
        log_q, _ = log_density(handlers.replay(handlers.seed(self.guide, keys[1]), behind), (x_0,), {}, self.params)
        log_p, _ = log_density(handlers.replay(handlers.seed(self.model, keys[2]), behind), (x_0,), {}, self.params)
        return x_0[0], jnp.asarray(log_p - log_q)

    def has_params(self, dtype: Any) -> bool:
        """Whether there is anything to train, for data of this dtype."""
        return has_params(*self._traces(jnp.zeros((2, *self.event_shape), dtype)))

    def _check_sites(self, two: Array) -> None:
        """Raise `InputError` where the likelihood of single data would be another than that of the program."""
        fault = fault_of(*self._traces(two), len(two), self.params)
        if fault is not None:
            raise InputError(
                "model and guide",
                expected="x_0 observed in a plate of the data, and every latent site in it and drawn by the guide",
                got=fault,
                remedy="rewrite it; what all data share may be a param, and the guide must be amortised",
            )

    def _traces(self, x_0: Array) -> tuple[dict[str, SiteFacts], dict[str, SiteFacts]]:
        """What there is to know of the sites of model and guide, found without any arithmetic."""
        found = []

        def look() -> dict[str, Any]:
            guide = handlers.substitute(handlers.seed(self.guide, 0), data=self.params)
            drawn = handlers.trace(guide).get_trace(x_0)
            model = handlers.substitute(handlers.seed(self.model, 1), data=self.params)
            traced = handlers.trace(handlers.replay(model, drawn)).get_trace(x_0)
            found.extend(facts_of(trace, x_0) for trace in (traced, drawn))
            return {}

        jax.eval_shape(look)
        return found[0], found[1]


Method = Diffusion | Program
"""What can be trained and scored."""


@eqx.filter_jit
def sample_from(method: Method, key: PRNGKey, num_samples: int) -> Batch:
    """Draws of x_0 from a method, `(num_samples, *event_shape)`."""
    return sample(method, key, num_samples) if isinstance(method, Diffusion) else method.sample(key, num_samples)


@eqx.filter_jit
def log_weights(program: Program, x_0: Batch, key: PRNGKey, data_chunk: int | None = 1000) -> PerDatum:
    """One log-weight per datum, nats: an unbiased value of the ELBO of each."""
    keys = jax.random.split(key, len(x_0))
    size = min(data_chunk or len(x_0), len(x_0))
    return jax.lax.map(lambda pair: program.log_weight(*pair), (x_0, keys), batch_size=size)


def _latents(trace: dict[str, Any]) -> set[str]:
    return {name for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]}
