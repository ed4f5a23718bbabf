"""`Program`: any NumPyro model and guide of independent data as a method, scored datum by datum as a diffusion is.

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

from dpm_ppl._common.checks import (
    as_jax_holds,
    check_event_shape,
    check_finite,
    check_key,
    check_kind,
    event_sizes,
    is_traced,
    whole_number,
)
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Batch, Cost, Datum, PRNGKey
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.methods.entries import returns_data
from dpm_ppl.methods.pushforward import change_of_variables
from dpm_ppl.methods.refusals import data_sites, fault_of, outside_of
from dpm_ppl.methods.sites import Probe, all_within, probe


def no_latents(x_0: Batch | None = None) -> None:
    """The guide of a model without latent variables."""


def _with_arrays(params: Any) -> Any:
    """Numbers as arrays, so that other values of them compile nothing anew."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, int | float | np.ndarray) else leaf, params)


class Program(AbstractMethod):
    """A NumPyro model of data, a guide for its latent variables, and trained parameters.

    **Arguments:**

    - `model`: `model(x_0, num_points=None)` observes `x_0`, `(datum, *event_shape)`, in a plate as long as the data, at
      one site or its numbers at several, each of them once; with `x_0` None it draws `num_points` there and returns
      them. Every latent site stands in that plate.
    - `guide`: `guide(x_0)` draws the latent sites. Left out, there are none, and the likelihood is exact.
    - `event_shape`: the shape of one datum.
    - `params`: values of the param sites, as `SVIRunResult.params` has them, and of mutable sites.

    **Raises:** `InputError` where a part is not of its kind.
    """

    model: Callable[..., Any] = eqx.field(static=True)
    guide: Callable[..., Any] = eqx.field(static=True, default=no_latents)
    event_shape: tuple[int, ...] = eqx.field(static=True, kw_only=True, converter=event_sizes)
    params: dict[str, Any] = eqx.field(default_factory=dict, kw_only=True, converter=_with_arrays)

    def __check_init__(self):
        for name in ("model", "guide"):
            check_kind(name, getattr(self, name), Callable, expected="a NumPyro program", remedy="pass the function")
        remedy = "for example params=svi_result.params"
        check_kind("params", self.params, dict, expected="values by site name", remedy=remedy)

    def with_params(self, params: dict[str, Any]) -> "Program":
        """This program with the parameters that `SVI.get_params` or `SVIRunResult.params` holds."""
        return Program(self.model, self.guide, event_shape=self.event_shape, params=params)

    def check_data(self, x_0: Array | np.ndarray, argument: str = "x_0") -> None:
        """Raise `InputError` where data do not fit, or what the program gives would not be their likelihood."""
        x_0 = as_jax_holds(x_0, argument)
        check_finite(x_0, argument)
        check_event_shape(argument, x_0, self.event_shape)
        if len(x_0):
            model = self.check_sites(jnp.asarray(x_0[:1])).model
            if not is_traced(x_0):
                _refuse(outside_of(model, np.asarray(x_0)))

    def check_sites(self, at: Batch) -> Probe:
        """Raise `InputError` where weights would be no likelihood of any data; `at` is one of them, `(1, *event)`.

        **Returns:** what has been found of the sites.
        """
        probes = []
        for num_points in (2, 3):
            try:
                probes.append(self._probe(num_points, at.dtype))
            except InputError:
                raise
            except Exception as error:  # whatever the user's own code may raise
                raise InputError(
                    "model and guide",
                    expected="programs of any number of data",
                    got=f"with {num_points} of them {type(error).__name__}: {error}",
                    remedy="let them depend on len(x_0), and not on the number of the training data",
                ) from error
        stated = change_of_variables(self.guide, self.params, at, probes[0])
        _refuse(fault_of(probes, self.params, stated))
        return probes[0]

    def log_weight(self, x_0: Datum, key: PRNGKey) -> Cost:
        """log p(x_0, z) - log q(z | x_0) for one draw of the latent sites: the ELBO is its mean, E w = p(x_0)."""
        guide = handlers.seed(self.guide, key)
        log_q, drawn = log_density(guide, (x_0[None],), {}, self.params)
        model = handlers.replay(handlers.seed(self.model, jax.random.fold_in(key, 1)), drawn)
        log_p, sites = log_density(model, (x_0[None],), {}, self.params)
        return jnp.where(all_within(sites), log_p - log_q, -jnp.inf)

    def sample(self, key: PRNGKey, num_samples: int) -> Batch:
        """Draws from the model, `(num_samples, *event_shape)`.

        **Raises:** `InputError` where the model does not return the draws of the site that observes x_0.
        """
        return _sample(self, check_key(key), whole_number("num_samples", num_samples))

    def simulate(self, key: PRNGKey, num_data: int) -> tuple[Batch, Cost]:
        """Data from the model, and the log-weight of the latent sites behind each: E 1/w of these is 1 / p(x_0).

        **Raises:** `InputError` as `sample` does, and for sites that the guide alone has: what they were is not known.
        """
        return _simulate(self, check_key(key), num_data)

    def check_trained(self, dtype: Any) -> None:
        if self.params:
            return
        found = self._probe(2, dtype)
        if any(site.kind != "sample" for site in (*found.model.values(), *found.guide.values())):
            raise InputError(
                "params",
                expected="values for the param sites of the program",
                got="none, so that their initial values would be scored",
                remedy="train it, and pass program.with_params(svi_result.params)",
            )

    def check_simulation(self) -> None:
        self.check_sites(jnp.zeros((1, *self.event_shape)))

    def is_exact(self, dtype: Any) -> bool:
        return not self._latents_are_discrete(dtype)

    def hidden_states(self, x_0: Batch, number: Array, key: PRNGKey, steps_chunk: int | None) -> np.ndarray:
        unknown = any(self._latents_are_discrete(x_0.dtype))
        return np.full((len(x_0), int(unknown), 2), np.nan)

    def _latents_are_discrete(self, dtype: Any) -> list[bool]:
        """For every site that the guide draws, whether its values are discrete."""
        found: list[bool] = []

        def look() -> None:
            guide = handlers.substitute(handlers.seed(self.guide, 0), data=self.params)
            drawn = handlers.trace(guide).get_trace(jnp.zeros((1, *self.event_shape), dtype))
            laws = [site["fn"] for site in drawn.values() if site["type"] == "sample" and not site["is_observed"]]
            found.extend(bool(law.support.is_discrete) for law in laws)

        jax.eval_shape(look)
        return found

    def _simulate(self, key: PRNGKey) -> tuple[Datum, Cost]:
        draw_key, guide_key = jax.random.split(key)
        x_0, log_p, drawn = self._draw(draw_key, 1)
        guide = handlers.replay(handlers.seed(self.guide, guide_key), drawn)
        log_q, sites = log_density(guide, (x_0,), {}, self.params)
        for name, site in sites.items():
            if site["type"] == "sample" and name not in drawn:
                raise InputError(
                    "guide",
                    expected="no sites but the model's, so that their values behind a datum of the model are known",
                    got=f"site {name!r}",
                    remedy="draw from a TransformedDistribution in place of auxiliary sites, or do without a sandwich",
                )
        return x_0[0], jnp.asarray(log_p - log_q)

    def _draw(self, key: PRNGKey, num_points: int) -> tuple[Batch, Cost, Any]:
        """Data from the model, the log-density of all that it drew, and its sites."""
        returned = []

        def model() -> None:
            returned.append(self.model(None, num_points=num_points))

        log_p, sites = log_density(handlers.seed(model, key), (), {}, self.params)
        x_0 = returned[0]
        shape = num_points, *self.event_shape
        if np.shape(x_0) != shape or not self._is_drawn(x_0, sites):
            raise InputError(
                "model",
                expected=f"the draws of the site that observes x_0, {shape}, with x_0=None",
                got="a return value that is something else",
                remedy="return what numpyro.sample(..., obs=x_0) gives, or several of them in their places in x_0",
            )
        return x_0, jnp.asarray(log_p), sites

    def _is_drawn(self, x_0: Batch, sites: dict[str, Any]) -> bool:
        """Whether what the model returned are the draws of the sites that observe the data, and nothing else."""
        model = self._probe(2, x_0.dtype).model
        of_data = data_sites(model)
        entries = {name: places for name in of_data if (places := model[name].entries) is not None}
        if not of_data or any(name not in sites for name in of_data):
            return False
        if len(entries) < len(of_data):
            return sites[of_data[0]]["value"] is x_0
        return returns_data(self.model, self.params, entries, (2, *self.event_shape), x_0.dtype)

    def _probe(self, num_points: int, dtype: Any) -> Probe:
        return probe(self.model, self.guide, self.params, jnp.zeros((num_points, *self.event_shape), dtype))


@eqx.filter_jit
def _sample(program: Program, key: PRNGKey, num_samples: int) -> Batch:
    return program._draw(key, num_samples)[0]


@eqx.filter_jit
def _simulate(program: Program, key: PRNGKey, num_data: int) -> tuple[Batch, Cost]:
    return jax.vmap(program._simulate)(jax.random.split(key, num_data))


def _refuse(fault: str | None) -> None:
    if fault is not None:
        raise InputError(
            "model and guide",
            expected="x_0 observed in a plate of the data, and every latent site in it and drawn by the guide",
            got=fault,
            remedy="rewrite it; what all data share may be a param, and the guide must be amortised",
        )
