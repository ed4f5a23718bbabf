"""Which numbers of the data each observed site of a program holds, where it does not hold the data as they are.

The program is run on data whose numbers say where they stand, in two orders and below zero: a site that holds some of
them, reshaped, reordered or as whole numbers, shows the same places each time. What is computed from them otherwise,
such as absolute or clipped values, does not.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from dpm_ppl._common.types import Array

Entries = dict[str, np.ndarray]


def entries_of(traced: Callable[[Array], dict[str, dict[str, Any]]], x_0: Array) -> Entries:
    """Places in the flattened data that the value of each observed site holds, in its shape; no site that holds others.

    `traced` gives the sites of the model for data of the shape and dtype of `x_0`.
    """
    size = math.prod(x_0.shape)

    @jax.jit
    def observed(x_0: Array) -> dict[str, Array]:
        return {name: jnp.asarray(site["value"]) for name, site in traced(x_0).items() if _is_observed(site)}

    places, shuffled = np.arange(size), np.random.default_rng(0).permutation(size)
    markers = [numbers.astype(x_0.dtype) for numbers in (places, shuffled, -1 - places)]
    found = []
    for numbers in markers:
        with jax.ensure_compile_time_eval():
            values = observed(jnp.asarray(numbers.reshape(x_0.shape)))
        found.append({name: np.asarray(value) for name, value in values.items()})

    def holds(name: str) -> bool:
        """Whether a site shows the same places each time."""
        if not np.isin(found[0][name], places).all():
            return False
        at = found[0][name].astype(np.int64)
        return all(np.array_equal(of[name], numbers[at]) for of, numbers in zip(found, markers, strict=True))

    return {name: value.astype(np.int64) for name, value in found[0].items() if holds(name)}


def returns_data(model: Callable, params: dict[str, Any], entries: Entries, shape: tuple[int, ...], dtype: Any) -> bool:
    """Whether a model that is given no data returns what its observed sites hold, in the places they have in the data.

    `shape` is `(num_points, *event)`.
    """
    markers = np.arange(math.prod(shape))

    @jax.jit
    def draw(values: dict[str, Array]) -> Any:
        return handlers.substitute(handlers.seed(model, 0), data=params | values)(None, num_points=shape[0])

    with jax.ensure_compile_time_eval():
        returned = draw({name: jnp.asarray(markers[places], dtype) for name, places in entries.items()})
    return np.shape(returned) == shape and np.array_equal(np.asarray(returned), markers.reshape(shape))


def _is_observed(site: dict[str, Any]) -> bool:
    return site["type"] == "sample" and site["is_observed"]
