"""The problem that the timings share: the zoo's swiss roll network and schedule on a spiral of the plane."""

from functools import partial

import jax
import numpy as np
import optax
from numpyro.infer import SVI

from dpm_ppl import (
    Diffusion,
    DiffusionELBO,
    GaussianKernel,
    LogSNR,
    TimeMLP,
    forward_chain,
    noise_prediction,
    reverse_chain,
)
from dpm_ppl.models._parts import adam

BATCH_SIZE = 512
NUM_SAMPLED_STEPS = 2


def points(num_points: int) -> np.ndarray:
    """A standardised spiral with noise, `(num_points, 2)`."""
    generator = np.random.default_rng(0)
    angle = generator.uniform(1.5 * np.pi, 4.5 * np.pi, num_points)
    values = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    values += 0.1 * generator.standard_normal(values.shape)
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)


def diffusion(num_steps: int, *, width: int = 128, depth: int = 3, seed: int = 0) -> Diffusion:
    network = TimeMLP(
        (2,),
        2,
        num_steps,
        width=width,
        depth=depth,
        fourier_frequencies=2.0 ** np.linspace(0, 6, 8),
        key=jax.random.key(seed),
    )
    return Diffusion(GaussianKernel(noise_prediction), LogSNR(num_steps, 16.1, -8.0), network, (2,))


def optimiser() -> optax.GradientTransformation:
    return adam(10_000, learning_rate=1e-3)


def svi(diffusion: Diffusion, objective: DiffusionELBO) -> SVI:
    return SVI(partial(reverse_chain, diffusion), partial(forward_chain, diffusion), optimiser(), loss=objective)
