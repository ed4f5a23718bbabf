"""`AutoDiffusion`: a NumPyro guide that starts exactly as another, its base, and is improved by a pair of chains."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
from numpyro import handlers
from numpyro.distributions.transforms import biject_to
from numpyro.infer.autoguide import AutoContinuous, AutoMultivariateNormal
from numpyro.infer.initialization import init_to_uniform

from dpm_ppl._common.checks import check_key, check_kind, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import eqx_module, prng_key
from dpm_ppl._common.numpyro_seam import sample as sample_site
from dpm_ppl._common.types import Array, Float, PRNGKey
from dpm_ppl.guides import bases
from dpm_ppl.guides.chains import AbstractChainPair, Bridge, PathLaw
from dpm_ppl.guides.chains.base import Point
from dpm_ppl.guides.target import Latents, Target, check_latents, params_of, subsampled_plates, traced

MOST_SCORE = 10.0
"""Beyond it the score is cut off: far out, where a target is steep, a step must not throw a path further."""
SIDE_BY_SIDE = 256
"""Draws that `sample_posterior` makes at once."""

ChainMaker = Callable[..., AbstractChainPair]


class AutoDiffusion(AutoContinuous):
    """A guide whose draws are those of a base guide led on by a learned chain, and weighed by a chain that leads back.

    With T the map of the base from x ~ N(0, I) to the latent vector z before constraints, a path x_0 ... x_K is drawn
    from N(0, I) onwards, and z = T(x_K). Untrained, x_K has the law N(0, I) still, and each draw the weight that it has
    under the base: `Trace_ELBO` starts at the base's. Any `SVI` trains it.

    **Arguments:**

    - `model`: with continuous latents, none of them in a subsampled plate.
    - `base`: a NumPyro guide or its class: `AutoMultivariateNormal`, `AutoIAFNormal` (slower, and the best for
      hierarchical models and regressions), `AutoNormal`, `AutoLaplaceApproximation` or any other that maps normal noise
      to its draws.
    - `num_steps`: K.
    - `chains`: `Bridge`, `Exchanged`, or anything called as `chains(size, num_steps, key=key)` that gives an
      `AbstractChainPair`: `partial(Bridge, network=..., schedule=...)` has networks and schedules of your own.
    - `base_params`: those of the base as it was fitted. It is then held, unless `train_base` is true. A Laplace
      approximation must have them.
    - `train_base`: whether the base is trained with the chains; by default where it has not been fitted. `fit_guide`
      fits it first, and then trains the two together, unless this is false: the base is then held.
    - `score`: whether the chains read the gradient of the model's log-density, which training then derives once more.
      By default they do, but for models with subsampled plates: a guide that reads the minibatch its weight is taken on
      gives no bound. Turn it off for minibatches that come by the arguments, and for densities that JAX cannot derive
      twice.
    - `prefix`, `init_loc_fn`: as for every NumPyro guide.

    The gradient is that of the density at the arguments of each call, also where these change.

    **Raises:** `InputError` for a base that is no such guide, and, where it first sees the model, for discrete latents,
    for latents in a subsampled plate, for none at all, and for a base of another model.
    """

    def __init__(
        self,
        model: Callable,
        base: Any = AutoMultivariateNormal,
        num_steps: int = 8,
        *,
        chains: ChainMaker = Bridge,
        base_params: dict[str, Any] | None = None,
        train_base: bool | None = None,
        score: bool | None = None,
        prefix: str = "auto",
        init_loc_fn: Callable = init_to_uniform,
    ):
        check_kind("model", model, Callable, expected="a NumPyro model", remedy="pass the function itself")
        check_kind("chains", chains, Callable, expected="Bridge, Exchanged or the like", remedy="pass the class")
        self.num_steps = whole_number("num_steps", num_steps, remedy="8 is enough for most posteriors")
        self.base = bases.made(base, model, f"{prefix}_base", init_loc_fn)
        self.base_params = base_params
        self.train_base = train_base
        self.is_base_held = not (base_params is None if train_base is None else train_base)
        self._chains, self._score_asked = chains, score
        self._drawn, self._ordered = eqx.filter_jit(self._draws), eqx.filter_jit(self._quantiles)
        AutoContinuous.__init__(self, model, prefix=prefix, init_loc_fn=init_loc_fn)

    def with_base(self, base_params: dict[str, Any], *, train_base: bool = False) -> "AutoDiffusion":
        """The same guide from these params of the base on, which is held unless `train_base`."""
        return AutoDiffusion(
            self.model,
            self.base,
            self.num_steps,
            chains=self._chains,
            base_params=base_params,
            train_base=train_base,
            score=self._score_asked,
            prefix=self.prefix,
            init_loc_fn=self.init_loc_fn,
        )

    def look_at(self, key: PRNGKey, *args, **kwargs) -> None:
        """Have the guide see its model now, at these arguments, which are refused where they cannot be used.

        An `AutoLaplaceApproximation` without params, which no program can take for a base yet, is let pass.
        """
        with handlers.block():
            sites = traced(self.model, key, args, kwargs)
            check_latents(sites)
            bases.prepare(self.base, key, sites, args, kwargs)

    @property
    def chain_site(self) -> str:
        """Name of the module that the chains are; its params stand at this name with `$params`."""
        return f"{self.prefix}_chains"

    @property
    def path_site(self) -> str:
        """Name of the auxiliary site of the path."""
        return f"_{self.prefix}_path"

    def _setup_prototype(self, *args, **kwargs):
        model_key, base_key, chain_key = jax.random.split(prng_key(), 3)
        sites = traced(self.model, model_key, args, kwargs)
        check_latents(sites)
        parts = subsampled_plates(sites)
        if self._score_asked and parts:
            raise InputError(
                "score",
                expected="a model that is looked at as a whole",
                got=f"plate {parts[0]!r}, which is subsampled",
                remedy="leave score out: a guide that reads the minibatch it is weighed on gives no bound",
            )
        self.reads_score = not parts if self._score_asked is None else self._score_asked
        bases.prepare(self.base, base_key, sites, args, kwargs)
        self._base_start = bases.fixed_params(self.base, self.base_params)
        AutoContinuous._setup_prototype(self, *args, **kwargs)
        self._names = list(self._init_locs)
        self._model_params = params_of(self.prototype_trace or {})
        self._first_call = args, kwargs
        self._pair = self._chains(int(self.latent_dim), self.num_steps, key=chain_key)
        check_kind("chains", self._pair, AbstractChainPair, expected="a pair of chains", remedy="use Bridge")

    def _get_posterior(self):
        raise InputError(
            "guide",
            expected="a guide whose law is a map from normal noise",
            got="AutoDiffusion, whose law is that of a chain",
            remedy="use its base, or get_posterior for the law of its paths",
        )

    def _path_law(self, *args, **kwargs) -> PathLaw:
        """The law of the path, with all params declared."""
        held = self.is_base_held
        transform = bases.transform_of(self.base, self._base_start, held, self._names, args, kwargs)
        pair = eqx_module(self.chain_site, self._pair)
        size = int(self.latent_dim)
        if not self.reads_score:
            return PathLaw(pair, transform, size, jnp.zeros_like)
        target = self._target(args, kwargs)

        def log_density(x: Point) -> Float[Array, ""]:
            z, intermediates = transform.call_with_intermediates(x)
            log_det = transform.log_abs_det_jacobian(x, z, intermediates)
            return target.log_density(self._free(jnp.asarray(z))) + log_det + 0.5 * jnp.sum(x**2)

        def score(x: Point) -> Point:
            # Not detached: without its own derivative the gradient of the bound is biased, most where a target bends.
            gradient = jnp.nan_to_num(jax.grad(log_density)(x), nan=0.0)
            return jnp.clip(gradient, -MOST_SCORE, MOST_SCORE)

        return PathLaw(pair, transform, size, score)

    def _target(self, args: tuple, kwargs: dict[str, Any]) -> Target:
        params = {
            name: numpyro.param(name, site["value"], **site["kwargs"]) for name, site in self._model_params.items()
        }
        return Target(self.model, self._names, params, args, kwargs)

    def _sample_latent(self, *args, **kwargs):
        law = self._path_law(*args, **kwargs)
        return law.end(sample_site(self.path_site, law, infer={"is_auxiliary": True}))

    def get_posterior(self, params: dict[str, Any], *args, **kwargs) -> PathLaw:
        """The law of the path with these params; its `end` maps a path to the latent vector before constraints."""
        self._check_set_up()
        args, kwargs = self._arguments(args, kwargs)
        with handlers.block(), handlers.substitute(data=params):
            return self._path_law(*args, **kwargs)

    def get_transform(self, params: dict[str, Any]):
        self._get_posterior()

    def sample_posterior(self, rng_key: PRNGKey, params: dict[str, Any], *args, sample_shape=(), **kwargs) -> Latents:
        """Draws of all latent and deterministic sites, each with `sample_shape` in front, at these arguments.

        Without arguments it is at those that the guide has seen first, as `median` and `quantiles` are.
        """
        self._check_set_up()
        args, kwargs = self._arguments(args, kwargs)
        draws = self._drawn(check_key(rng_key), params, math.prod(sample_shape), args, kwargs)
        return jax.tree.map(lambda draw: draw.reshape(*sample_shape, *draw.shape[1:]), draws)

    def median(self, params: dict[str, Any], *args, **kwargs) -> Latents:
        """Medians of the latents, as `quantiles` finds them."""
        return jax.tree.map(lambda value: value[0], self.quantiles(params, [0.5], *args, **kwargs))

    def quantiles(
        self, params: dict[str, Any], quantiles: Any, *args, num_draws: int = 10_000, rng_key: Any = None, **kwargs
    ) -> Latents:
        """Quantiles of each coordinate before constraints, brought into the supports; of `num_draws` draws."""
        self._check_set_up()
        args, kwargs = self._arguments(args, kwargs)
        num_draws = whole_number("num_draws", num_draws)
        key = jax.random.key(0) if rng_key is None else check_key(rng_key)
        return self._ordered(key, params, jnp.asarray(quantiles), num_draws, args, kwargs)

    def reference_log_weight(
        self, key: PRNGKey, params: dict[str, Any], latents: Latents, *args, **kwargs
    ) -> Float[Array, ""]:
        """log p(data, z) less the density of a path that leads to z, one value for each site; z may be from elsewhere.

        The path is drawn by the chain that leads back. Where z is a draw of the posterior, the mean of what is returned
        bounds the log evidence from above. The base must have an inverse.
        """
        law = self.get_posterior(params, *args, **kwargs)
        sites: Any = self.prototype_trace
        free = {name: biject_to(sites[name]["fn"].support).inv(jnp.asarray(latents[name])) for name in self._names}
        vector = jnp.concatenate([jnp.ravel(free[name]) for name in self._names])  # in the order of `_free`
        with handlers.block(), handlers.substitute(data=params):
            target = self._target(*self._arguments(args, kwargs))
        path = law.lead_back(key, jnp.asarray(law.transform.inv(vector)))
        return target.log_density(free) - law.log_prob(path)

    def _draws(self, key: PRNGKey, params: dict[str, Any], num: int, args: tuple, kwargs: dict[str, Any]) -> Latents:
        law, constrained = self._law_and_constraints(params, args, kwargs)
        keys = jax.random.split(key, num)
        return jax.lax.map(lambda key: constrained(law.end(law.sample(key))), keys, batch_size=SIDE_BY_SIDE)

    def _quantiles(
        self, key: PRNGKey, params: dict[str, Any], quantiles: Array, num: int, args: tuple, kwargs: dict[str, Any]
    ) -> Latents:
        law, constrained = self._law_and_constraints(params, args, kwargs)
        ends = jax.lax.map(lambda key: law.end(law.sample(key)), jax.random.split(key, num), batch_size=SIDE_BY_SIDE)
        return jax.vmap(constrained)(jnp.quantile(ends, quantiles, axis=0))

    def _law_and_constraints(
        self, params: dict[str, Any], args: tuple, kwargs: dict[str, Any]
    ) -> tuple[PathLaw, Callable[[Point], Latents]]:
        """The law of the path, and what the sites of the model are at a latent vector."""
        with handlers.block(), handlers.substitute(data=params):
            law, target = self._path_law(*args, **kwargs), self._target(args, kwargs)
        return law, lambda z: target.constrained(self._free(z))

    def _free(self, vector: Point) -> Latents:
        """The latent vector by site, before constraints."""
        unpack: Any = self._unpack_latent
        return unpack(vector)

    def _arguments(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return (args, kwargs) if args or kwargs else self._first_call

    def _check_set_up(self) -> None:
        if self.prototype_trace is None:
            raise InputError(
                "guide", expected="a guide that has seen its model", got="a new one", remedy="call svi.init first"
            )
