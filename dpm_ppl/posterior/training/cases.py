"""Observations of one form side by side, and what tells them apart: what an amortised guide is trained on."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Float, Int
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.twists.base import AbstractTwist

FAR = 20.0
"""What stands for infinity, such as the log-odds of a bit that is known."""

Case = tuple[AbstractObservation, AbstractTwist]


class Cases(eqx.Module):
    """Observations with their twists; `cases[number]` is one. What all of them share is kept once."""

    shared: Any
    varying: Any
    num: int = eqx.field(static=True)

    def __getitem__(self, number: Array) -> Case:
        return eqx.combine(self.shared, jax.tree.map(lambda leaf: leaf[number], self.varying))


class Reader(eqx.Module):
    """The numbers by which the observations of `Cases` differ, each standardised over them; none for a single one."""

    places: tuple[Int[Array, "_"], ...]
    mean: Float[Array, " feature"]
    deviation: Float[Array, " feature"]

    def __call__(self, observation: AbstractObservation) -> Float[Array, " feature"]:
        leaves = jax.tree.leaves(eqx.filter(observation, eqx.is_array))
        return (_numbers(leaves, self.places) - self.mean) / self.deviation


def cases_of(given: Sequence[Case]) -> tuple[Cases, Reader]:
    """The cases, and what reads them.

    **Raises:** `InputError` where they are not of one form.
    """
    first = given[0]
    form = form_of(first)
    alike = [first]
    for number, case in enumerate(given[1:], 1):
        check_form(form, form_of(case), f"observation {number}")
        alike.append(jax.tree.map(lambda one, other: one if _same(one, other) else other, first, case))
    columns = list(zip(*(jax.tree.leaves(case) for case in alike), strict=True))
    differ = [any(leaf is not column[0] for leaf in column) for column in columns]
    structure = jax.tree.structure(first)
    stacked = [jnp.stack(column) if apart else None for column, apart in zip(columns, differ, strict=True)]
    kept = [None if apart else column[0] for column, apart in zip(columns, differ, strict=True)]
    cases = Cases(*(jax.tree.unflatten(structure, leaves) for leaves in (kept, stacked)), num=len(given))
    return cases, _reader([case[0] for case in alike])


def form_of(tree: Any) -> Any:
    """What two observations must share to be read by one guide: structure, shapes, and all that is no array."""
    shapes = jax.tree.map(lambda leaf: (jnp.shape(leaf),) if eqx.is_array(leaf) else leaf, tree)
    return jax.tree.structure(tree), jax.tree.leaves(shapes, is_leaf=lambda leaf: isinstance(leaf, tuple))


def check_form(expected: Any, got: Any, which: str) -> None:
    """Raise `InputError` where an observation is of another form."""
    if expected != got:
        raise InputError(
            "observed",
            expected="observations of one form, which one guide can read",
            got=f"another form of {which}",
            remedy="observe the same things of each; for different coordinates use Twist(covariance='variance')",
        )


def _same(one: Any, other: Any) -> bool:
    return one is other or (eqx.is_array(one) and np.array_equal(np.asarray(one), np.asarray(other)))


def _reader(observations: list[AbstractObservation]) -> Reader:
    columns = zip(*(jax.tree.leaves(eqx.filter(one, eqx.is_array)) for one in observations), strict=True)
    places = []
    for column in columns:
        first = np.asarray(column[0]).ravel()
        apart = np.zeros(first.shape, bool)
        for leaf in column:
            apart |= np.asarray(leaf).ravel() != first
        places.append(jnp.asarray(np.flatnonzero(apart)))
    read = np.array([_numbers(jax.tree.leaves(eqx.filter(one, eqx.is_array)), places) for one in observations])
    deviation = np.maximum(read.std(axis=0), 1e-6)
    return Reader(tuple(places), jnp.asarray(read.mean(axis=0)), jnp.asarray(deviation))


def _numbers(leaves: Sequence[Array], places: Sequence[Int[Array, "_"]]) -> Float[Array, " feature"]:
    parts = [leaf.ravel()[place].astype(float) for leaf, place in zip(leaves, places, strict=True)]
    return jnp.nan_to_num(jnp.concatenate([*parts, jnp.zeros(0)]), posinf=FAR, neginf=-FAR)
