"""Draws of both chains at chosen times, and the drift of the reverse chain, as arrays: what `plots.slices` shows."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.types import Batch, PRNGKey
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.sampling import last_of_paths, sample_path


def paper_times(diffusion: Diffusion) -> list[int]:
    """t = 0, T/2 and T, at which the figures of the paper show its chains."""
    return [0, diffusion.num_steps // 2, diffusion.num_steps]


def forward_slices(diffusion: Diffusion, x_0: Batch, key: PRNGKey, times: Sequence[int]) -> np.ndarray:
    """Draws from q(x_t | x_0), one for each datum, independent between times: `(time, datum, *event_shape)`."""

    def slice_at(t: int) -> Batch:
        if t == 0:
            return x_0
        return diffusion.marginal(x_0, diffusion.steps[t - 1]).sample(jax.random.fold_in(key, t))

    return np.stack([np.asarray(slice_at(t)) for t in times])


def reverse_slices(diffusion: Diffusion, key: PRNGKey, num_samples: int, times: Sequence[int]) -> np.ndarray:
    """Draws from the reverse chain, `(time, sample, *event_shape)`: the same trajectories at all times.

    Those at t = 0 are what `dpm_ppl.sample` draws with this key.
    """
    path = sample_path(diffusion, key, (num_samples,))
    x_0 = last_of_paths(diffusion, key, path[0])
    return np.stack([np.asarray(x_0 if t == 0 else path[t - 1]) for t in times])


def reverse_drift(diffusion: Diffusion, points: ArrayLike, times: Sequence[int]) -> np.ndarray:
    """f_mu(x_t, t) - x_t, the mean of p(x_{t-1} | x_t) less x_t, at `points`: `(time, point, *event_shape)`.

    The step from t = 1 is that of the reverse kernel, whatever the edge of the diffusion.
    """
    # Early steps move a point by less than the rounding of float32.
    with jax.enable_x64(True):
        x_t = jnp.asarray(points, float)
        return np.stack([np.asarray(diffusion.reverse(x_t, diffusion.steps[t - 1]).mean - x_t) for t in times])
