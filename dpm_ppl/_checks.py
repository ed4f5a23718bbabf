"""Checks that everything which scores data makes before it starts."""

import numpy as np

from dpm_ppl._errors import InputError
from dpm_ppl._inputs import as_jax_holds, whole_number
from dpm_ppl._types import Array
from dpm_ppl.programs import Method, Program


def check_sizes(**sizes: int | None) -> list[int | None]:
    """All of them as Python's integers; None is for chunks of whatever length there is.

    **Raises:** `InputError` unless all are positive integers.
    """
    unlimited = {name for name, size in sizes.items() if size is None and name.endswith("_chunk")}
    return [None if name in unlimited else whole_number(name, size) for name, size in sizes.items()]


def check_scored(method: Method, x_0: Array | np.ndarray, argument: str = "x_0") -> np.ndarray | Array:
    """The data as JAX holds them.

    **Raises:** `InputError` unless there are data and they fit the method.
    """
    x_0 = as_jax_holds(x_0, argument)
    method.check_data(x_0, argument)
    if isinstance(method, Program) and not method.params and method.has_params(x_0.dtype):
        raise InputError(
            "params",
            expected="values for the param sites of the program",
            got="none, so that their initial values would be scored",
            remedy="train it, and pass program.with_params(svi_result.params)",
        )
    if len(x_0) == 0:
        raise InputError(argument, expected="at least one datum", got="none", remedy="pass data to score")
    return x_0


def check_exact(log_density: np.ndarray) -> None:
    """Raise `InputError` unless the known log-likelihoods of data are numbers below infinity."""
    failed = np.isnan(log_density) | np.isposinf(log_density)
    if failed.any():
        raise InputError(
            "exact",
            expected="log-likelihoods that are numbers",
            got=f"{failed.sum():,} of {failed.size:,} that are NaN or +inf",
            remedy="find out why, or leave it out",
        )
