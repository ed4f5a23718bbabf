"""What `DiffusionELBO` puts in place of the two chains: the sites of a program that are chains, and their cost."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike
from numpyro.distributions import ExpandedDistribution, MaskedDistribution, constraints

from dpm_ppl._common.numpyro_seam import Distribution, mask_of
from dpm_ppl._common.types import Array, Batch, Cost, PRNGKey
from dpm_ppl.diffusion.chains import first_of_path
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.terms import first_surprise


class FirstStep(Distribution):
    """x_1 ~ q(x_1 | x_0), standing for the whole path; all later values are NaN, so that none is used unnoticed."""

    arg_constraints = {}
    support: Any = constraints.real  # NaN fits no narrower one
    pytree_data_fields = ("diffusion", "x_0")

    def __init__(self, diffusion: Diffusion, x_0: Batch):
        self.diffusion = diffusion
        self.x_0 = x_0
        batch_shape = x_0.shape[: x_0.ndim - diffusion.event_dim]
        Distribution.__init__(self, batch_shape, (diffusion.num_steps, *diffusion.event_shape), validate_args=False)

    @property
    def has_rsample(self) -> bool:
        return self.diffusion.kernel.reparametrised

    def sample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        law = self.diffusion.marginal(self.x_0, self.diffusion.steps[0])
        x_1 = jnp.expand_dims(law.sample(key, sample_shape), len(sample_shape) + len(self.batch_shape))
        x_1 = x_1.astype(jnp.result_type(float))
        axis = x_1.ndim - len(self.event_shape)
        width = [(0, 0)] * x_1.ndim
        width[axis] = (0, self.diffusion.num_steps - 1)
        with jax.debug_nans(False):  # which looks for faults, and would find these
            return jnp.pad(x_1, width, constant_values=jnp.nan)

    def rsample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.sample(key, sample_shape)

    def log_prob(self, value: Batch, intermediates=None) -> Cost:
        return first_surprise(self.diffusion, self.x_0, first_of_path(self.diffusion, value))


class ChainCost(Distribution):
    """log p(path) - log q(path | x_0) in expectation, whatever the path's value: the chain's share of the bound."""

    arg_constraints = {}
    support: Any = constraints.real
    pytree_data_fields = ("cost",)

    def __init__(self, cost: Cost, event_shape: tuple[int, ...]):
        self.cost = cost
        Distribution.__init__(self, cost.shape, event_shape, validate_args=False)

    def log_prob(self, value: Batch, intermediates=None) -> Cost:
        return self.cost


def base_of[D: Distribution](msg: dict[str, Any], kind: type[D]) -> D | None:
    """The latent site's distribution below its expansions and masks, where it is of this kind."""
    if msg["type"] != "sample" or msg["is_observed"]:
        return None
    *_, base = _layers(msg["fn"])
    return base if isinstance(base, kind) else None


def with_base(law: Distribution, base: Distribution) -> Distribution:
    """`base`, which has the batch shape of `law`, under the masks of `law`."""
    for mask in _masks(law):
        base = base.mask(mask)
    return base


def factors_of(msg: dict[str, Any]) -> list[Any]:
    """What the site's log-densities are multiplied by: its scale and the masks of its distribution."""
    scale = msg.get("scale")
    return [*([] if scale is None else [scale]), *_masks(msg["fn"])]


def are_same(factors: list[ArrayLike], others: list[ArrayLike]) -> bool:
    """Whether they are seen to be the same without their values: arrays are where they are one and the same."""

    def is_same(a: ArrayLike, b: ArrayLike) -> bool:
        return a is b or (isinstance(a, int | float) and isinstance(b, int | float) and a == b)

    return len(factors) == len(others) and all(map(is_same, factors, others))


def _masks(law: dist.Distribution) -> list[Any]:
    return [mask_of(layer) for layer in _layers(law) if isinstance(layer, MaskedDistribution)]


def _layers(law: dist.Distribution) -> Iterator[dist.Distribution]:
    yield law
    while isinstance(law, ExpandedDistribution | MaskedDistribution):
        law = law.base_dist
        yield law
