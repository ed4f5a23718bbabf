"""Checks that everything which scores data makes before it starts."""

import numpy as np

from dpm_ppl._errors import InputError
from dpm_ppl._types import Array
from dpm_ppl.programs import Method, Program


def check_sizes(**sizes: int | None) -> None:
    """Raise `InputError` unless all are positive integers; None is for chunks of whatever length there is."""
    for name, size in sizes.items():
        unlimited = size is None and name.endswith("_chunk")
        whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
        if not unlimited and not (whole and size >= 1):
            raise InputError(name, expected="a positive integer", got=repr(size), remedy="use the default")


def check_scored(method: Method, x_0: Array | np.ndarray, argument: str = "x_0") -> None:
    """Raise `InputError` unless there are data and they fit the method."""
    method.check_data(x_0, argument)
    if isinstance(method, Program) and not method.params and method.has_params(np.asarray(x_0[:1]).dtype):
        raise InputError(
            "params",
            expected="values for the param sites of the program",
            got="none, so that their initial values would be scored",
            remedy="train it, and pass program.with_params(svi_result.params)",
        )
    if len(x_0) == 0:
        raise InputError(argument, expected="at least one datum", got="none", remedy="pass data to score")


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
