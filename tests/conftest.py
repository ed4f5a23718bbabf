"""What every test stands on; warnings as errors and the shape checks are switched on in pyproject.toml.

`jax_numpy_rank_promotion = "raise"` stays off: NumPyro's own `sample` and `log_prob` broadcast across ranks.
"""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest


@pytest.fixture
def x64():
    """Float64 for the length of one test."""
    with jax.enable_x64(True):
        yield
