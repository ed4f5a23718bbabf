"""`CategoricalNetwork`, for symbols and whole levels: any network sees indicators, and begins at the shares of each."""

from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.types import Array, Datum, Float
from dpm_ppl.networks.base import AbstractNetwork, AbstractOuterNetwork
from dpm_ppl.networks.levels import shares_of_levels
from dpm_ppl.schedules.steps import Step


class CategoricalNetwork(AbstractOuterNetwork):
    """Outputs for the `clean_levels` readout, from a network of real numbers.

    **Arguments:**

    - `network`: takes indicators `(*event_shape, num_states)`, a mask among them if the kernel has one, and returns one
      output for each. Its zeros mean `log_share`.
    - `log_share`: log-probabilities of the levels where nothing else is known, less those of a model that has learned
      nothing, `(*event_shape, K)`; trained too.
    """

    network: AbstractNetwork
    log_share: Float[Array, "*event levels"]
    num_states: int = eqx.field(static=True)
    made_for: ClassVar[str] = "clean_levels"

    def __call__(self, x_t: Datum, step: Step) -> Float[Array, "*event outputs"]:
        outputs = self.network(jax.nn.one_hot(x_t, self.num_states), step)
        return self.log_share + outputs[..., : self.log_share.shape[-1], 0]


def categorical_network(
    network: AbstractNetwork,
    levels: np.ndarray,
    num_levels: int,
    *,
    num_states: int | None = None,
    pi: Sequence[float] | None = None,
) -> CategoricalNetwork:
    """A `CategoricalNetwork` that begins at the share of each level in training data, `(datum, *event_shape)`.

    `num_states` is one more than `num_levels` under `absorbing` moves; `pi` is that of `resampled` ones.
    """
    log_share = np.log(shares_of_levels(levels, num_levels)) - (0.0 if pi is None else np.log(pi))
    return CategoricalNetwork(network, jnp.asarray(log_share, dtype=float), num_states or num_levels)
