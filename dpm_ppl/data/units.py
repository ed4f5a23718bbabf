"""`Units`: how standardised data stand to the data as they were given, for values and for log-densities."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Batch, PRNGKey
from dpm_ppl._common.wording import listed, short_repr
from dpm_ppl.data.columns import Column
from dpm_ppl.estimates.standard_errors import Estimate

Kind = Literal["continuous", "levels", "binary", "mixed"]


@dataclass(frozen=True, eq=False)
class Units:
    """How standardised data z = (x - shift) / scale stand to the data x as they were given.

    `shift` and `scale` are one number, or one per coordinate. Levels 0 ... num_levels - 1 have width one, and z covers
    the interval from a level to the next. Of mixed data, a table's, the discrete columns are such levels. `columns`
    says what the coordinates of a table mean, whatever the kind. Levels that are `whole` are kept as they are, as bits
    are: z is x, and a model gives them probabilities.
    """

    __repr__ = short_repr

    event_shape: tuple[int, ...]
    kind: Kind
    shift: np.ndarray
    scale: np.ndarray
    num_levels: int | None = None
    columns: tuple[Column, ...] | None = None
    whole: bool = False

    def as_json(self) -> dict[str, Any]:
        """All of it, for `from_json`."""
        columns = None if self.columns is None else [asdict(column) for column in self.columns]
        numbers = {"shift": np.asarray(self.shift).tolist(), "scale": np.asarray(self.scale).tolist()}
        fields = {"event_shape": list(self.event_shape), "kind": self.kind, "num_levels": self.num_levels}
        return {**fields, **numbers, "columns": columns, "whole": self.whole}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Units":
        """The units of which `as_json` has told."""
        columns = fields["columns"]
        if columns is not None:
            columns = tuple(Column(**column | {"labels": tuple(column["labels"])}) for column in columns)
        shift, scale = (np.asarray(fields[name], np.float64) for name in ("shift", "scale"))
        shape, whole = tuple(fields["event_shape"]), fields.get("whole", False)
        return cls(shape, fields["kind"], shift, scale, fields["num_levels"], columns, whole)

    @property
    def widths(self) -> np.ndarray:
        """The width of the interval that stands for a value, by coordinate: 1 where it is a level, else 0."""
        if self.kind == "mixed" and self.columns is not None:
            return np.array([float(column.is_discrete) for column in self.columns])
        return np.full(self.event_shape, float(self.kind == "levels" and not self.whole))

    @property
    def is_dequantised(self) -> bool:
        """Whether `dequantise` adds noise."""
        return self.kind in ("levels", "mixed") and not self.whole

    @property
    def num_symbols(self) -> int | None:
        """The number of values of a coordinate whose z is x, a whole number: of bits and of whole levels."""
        return 2 if self.kind == "binary" else self.num_levels if self.whole else None

    @property
    def is_real(self) -> bool:
        """Whether models are densities of real numbers that know of no levels."""
        return self.kind in ("continuous", "mixed")

    @property
    def num_coordinates(self) -> int:
        """D, the number of scalars in one datum."""
        return math.prod(self.event_shape)

    @property
    def num_pixels(self) -> int | None:
        """Height times width of an image, `(height, width)` or with one or three colours last; None for other data."""
        *sides, colours = self.event_shape if len(self.event_shape) == 3 else (*self.event_shape, 1)
        return math.prod(sides) if len(sides) == 2 and colours in (1, 3) else None

    @property
    def num_values(self) -> float:
        """How many different data there can be, infinitely many where a coordinate is a real number."""
        if self.kind == "mixed" and self.columns is not None:
            each = [column.highest - column.lowest + 1.0 if column.is_discrete else math.inf for column in self.columns]
            return math.prod(each)
        base = {"binary": 2.0, "levels": float(self.num_levels or 0)}.get(self.kind, math.inf)
        return math.exp(min(700.0, self.num_coordinates * math.log(base)))

    def named(self, which: np.ndarray) -> str:
        """Some of the coordinates in words: the columns of a vector by name or number, of others how many."""
        places = np.flatnonzero(which)
        if len(self.event_shape) != 1:
            return f"{len(places):,} of {self.num_coordinates:,} coordinates"
        names = [self.columns[i].name if self.columns else str(i) for i in places]
        return f"column{'s' * (len(names) > 1)} {listed(names, 5)}"

    @property
    def log_det(self) -> float:
        """What to add to a log-density of z to have that of x, in nats: -sum log scale over the coordinates."""
        return -float(np.broadcast_to(np.log(self.scale), self.event_shape).sum())

    def standardise(self, x: ArrayLike) -> np.ndarray:
        """z of x, in float32; a level goes to the lower end of its interval, and bits stay whole numbers."""
        if self.num_symbols is not None:
            return np.asarray(x).astype(np.int32)
        return ((np.asarray(x, np.float64) - self.shift) / self.scale).astype(np.float32)

    @cached_property
    def dequantise(self) -> Callable[[Batch | np.ndarray, PRNGKey], Array]:
        """A function of z and a key: levels with fresh uniform noise over their interval, other data as they are.

        It is a pytree, so that a program that is handed it serves data of other scales too.
        """
        if not self.is_dequantised:
            return Partial(_as_they_are)
        return Partial(_add_noise, np.asarray(self.widths / self.scale))

    def unstandardise(self, z: ArrayLike) -> np.ndarray:
        """x of z, as real numbers in float64."""
        return np.asarray(z, np.float64) * self.scale + self.shift

    def as_given(self, z: ArrayLike) -> np.ndarray:
        """x of z, of the kind the data are of: real numbers, the levels whose intervals hold z, or bits.

        Mixed data come as float64, with whole numbers and the codes of categories in their columns.
        """
        x = self.unstandardise(z)
        if self.kind == "continuous":
            return x
        if self.kind == "mixed" and self.columns is not None:
            lowest, highest = np.array([(column.lowest, column.highest) for column in self.columns], float).T
            levels = np.clip(level_at(x, highest - lowest + 1), lowest, highest)
            return np.where(self.widths > 0, levels, x)
        if self.num_levels is not None:
            x = np.clip(level_at(x, self.num_levels), 0, self.num_levels - 1)
        return x.astype(np.int32)

    def as_original[F: (float, np.ndarray, Array, Estimate)](self, log_density: F) -> F:
        """A log-density per point of z, in nats, as that of x."""
        return log_density + self.log_det

    def in_units[F: (float, np.ndarray, Array, Estimate)](self, figure: F, unit: str) -> F:
        """A figure in nats per point in `nats/point`, `bits/point`, `nats/coordinate` or `bits/coordinate`.

        **Raises:** `InputError` for any other unit.
        """
        bits, share = 1 / math.log(2), 1 / self.num_coordinates
        factors = {"nats/point": 1.0, "bits/point": bits, "nats/coordinate": share, "bits/coordinate": bits * share}
        return figure * factors[one_of("unit", unit, factors)]

    def bits_per_dim[F: (float, np.ndarray, Array, Estimate)](self, log_density: F) -> F:
        """Bits per dimension of data with levels, from a log-density per point of z in nats; less is better.

        Uniform dequantisation makes it an upper bound on the bits that code the levels themselves (Theis, van den Oord
        and Bethge 2016, eq. 3). Of whole levels it is the length of that code.

        **Raises:** `InputError` for data without levels.
        """
        if self.num_levels is None:
            raise InputError(
                "units",
                expected="data with levels",
                got=f"{self.kind} data",
                remedy="use in_units, or make the data by Dataset.from_levels",
            )
        return self.in_units(-self.as_original(log_density), "bits/coordinate")


def level_at[A: (np.ndarray, Array)](x: A, num_levels: int | np.ndarray, *, rounding: float = 1e-6) -> A:
    """The level k whose interval [k, k + 1) holds x, of `num_levels` in all.

    In float32 the lower end of an interval may lie below it, by up to `rounding` of the whole range.
    """
    module: Any = jnp if isinstance(x, jax.Array) else np
    return module.floor(x + rounding * num_levels)


def _add_noise(width: ArrayLike, z: Batch | np.ndarray, key: PRNGKey) -> Array:
    z = jnp.asarray(z)
    return z + jnp.asarray(width).astype(z.dtype) * jax.random.uniform(key, z.shape, z.dtype)


def _as_they_are(z: Batch | np.ndarray, key: PRNGKey) -> Array:
    return jnp.asarray(z)
