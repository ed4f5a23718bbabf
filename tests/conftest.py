"""What every test stands on; warnings as errors and the shape checks are switched on in pyproject.toml.

`jax_numpy_rank_promotion = "raise"` stays off: NumPyro's own `sample` and `log_prob` broadcast across ranks.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before jax is imported; JAX_PLATFORMS=cuda tests on an accelerator
os.environ.setdefault("MPLBACKEND", "Agg")
# Most of the tests' time goes into compiling, of which this takes a fifth away.
os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}".strip()

import jax
import jaxtyping
import pytest


@pytest.fixture
def x64():
    """Float64 for the length of one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked():
    """No shape and type checks for the length of one test: bad input comes as far as it does for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
