"""Random streams of a run: what is drawn for one purpose has no part in another."""

from enum import IntEnum

import jax

from dpm_ppl._common.types import PRNGKey


class Stream(IntEnum):
    """What a run draws at random. `fit` splits its own keys off the seed's key itself, by 0 and 1."""

    EVALUATION = 2
    """Noise of the evaluations in the course of a fit."""
    WEIGHTS = 3
    """Particles of the held-out data."""
    SANDWICH = 4
    """Simulated data, and their particles."""
    DRAWS = 5
    """Draws that a tree of results holds."""
    TERMS = 6
    """Noise of the terms of K that a tree of results holds."""
    PICTURE = 7
    """Draws shown beside held-out data."""
    ENTROPY = 8
    """Noise of the entropy bounds on a page."""
    NETWORK = 9
    """A network's initial values."""
    HELDOUT = 10
    """Noise in K of the held-out data."""
    CHAIN_PICTURE = 11
    """Draws along the chain."""
    START = 12
    """What the values that a training starts from are found with."""
    PARZEN = 13
    """Draws that a Parzen window is made of."""
    RESTORED = 14
    """What held-out images are restored from, and draws given that."""


def key_of(seed: int, stream: Stream) -> PRNGKey:
    """The key of a stream, of the seed of a run."""
    return jax.random.fold_in(jax.random.key(seed), int(stream))
