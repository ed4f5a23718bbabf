"""The swiss roll (paper, section 3.1.1 and figure 1): points of the plane around a spiral, with a known density.

The paper gives neither its generator nor its noise; this one is (t cos t, t sin t) + noise N(0, I) with t uniform over
(1.5 pi, 4.5 pi), standardised per coordinate by the training data. Its exact log-density is a one-dimensional integral.
"""

import math
from functools import partial
from typing import Literal

import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion import Diffusion, Edge
from dpm_ppl.experiments.experiment import DIFFUSION, Experiment
from dpm_ppl.kernels import GaussianKernel, noise_prediction, perturbation
from dpm_ppl.models._methods import with_method
from dpm_ppl.models._parts import adam, chosen, network_key
from dpm_ppl.networks import RBFNetwork, TimeMLP
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.schedules import Erasure, LogSNR

FIRST_ANGLE, LAST_ANGLE = 1.5 * math.pi, 4.5 * math.pi
NUM_TRAIN, NUM_HELDOUT = 100_000, 10_000
FIRST_DATA_SEED = 2015
FREQUENCIES = tuple(2.0 ** np.linspace(0, 6, 8))


def experiment(
    *,
    method: str = DIFFUSION,
    noise: float = 0.02,
    variant: Literal["default", "paper"] = "default",
    edge: Edge = "fixed",
    num_steps: int | None = None,
    seed: int = 0,
) -> Experiment:
    """Gaussian diffusion of the swiss roll.

    `noise` is the standard deviation around the spiral, before scaling; `seed` draws the data. The variant `"paper"` is
    the paper's own configuration: T = 40 and a normalised radial basis network of 16 units with readouts for each step
    (D.1.1).
    """
    if not (math.isfinite(noise) and noise > 0):
        raise InputError("noise", expected="a positive number", got=repr(noise), remedy="the default is 0.02")
    generator = np.random.default_rng(FIRST_DATA_SEED + seed)
    train = Dataset.from_continuous(generate(NUM_TRAIN, noise, generator), per_coordinate=True)
    heldout = Dataset.from_continuous(generate(NUM_HELDOUT, noise, generator), reference=train)
    build = chosen("variant", variant, {"default": _today, "paper": _paper})
    diffusion = build(edge, num_steps, network_key(seed))
    declared = Experiment(
        name="swissroll",
        options={"noise": noise, "variant": variant, "edge": edge, "num_steps": diffusion.num_steps},
        seed=seed,
        train=train,
        heldout=heldout,
        method=diffusion,
        objective=DiffusionELBO(num_sampled_steps=2 if variant == "default" else None),
        optimiser=partial(adam, learning_rate=2e-3),
        num_updates=24_000 if variant == "default" else 20_000,
        # At equal cost 2,048 data in fewer updates end 0.01 bits above 512 in more.
        batch_size=2048 if variant == "default" else 512,
        averaging=0.9995,
        num_draws=1 if variant == "default" else 2,
        exact=partial(exact_log_density, noise=noise, units=train.units),
    )
    return with_method(declared, method)


def _today(edge: Edge, num_steps: int | None, key: PRNGKey) -> Diffusion:
    # Without steps that small the kernel's independent coordinates cost 0.02 bits where the roll runs aslant.
    num_steps = 4000 if num_steps is None else num_steps
    # The fixed edge wants beta_1 = 1e-7, far below the default roll's own variance of about 1e-5 in standardised units;
    # a learned one does without, and leaves more of the steps to the rest.
    first_log_snr = 16.1 if edge == "fixed" else 13.8
    network = TimeMLP(
        (2,),
        2,
        num_steps,
        width=128,
        depth=3,
        fourier_frequencies=FREQUENCIES,
        key=key,
    )
    return Diffusion(GaussianKernel(noise_prediction), LogSNR(num_steps, first_log_snr, -8.0), network, (2,), edge)


def _paper(edge: Edge, num_steps: int | None, key: PRNGKey) -> Diffusion:
    num_steps = 40 if num_steps is None else num_steps
    network = RBFNetwork((2,), 2, num_steps, num_centres=16, key=key)
    # The paper does not give beta_1; with its edge K <= 2.35 needs 0.0115 or less, and 1/T would cap K at 1.23 bits.
    return Diffusion(GaussianKernel(perturbation), Erasure(num_steps, beta_1=1e-3), network, (2,), edge)


def generate(num_points: int, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Points of the roll as they are, `(num_points, 2)`."""
    angle = generator.uniform(FIRST_ANGLE, LAST_ANGLE, num_points)
    return _spiral(angle) + noise * generator.standard_normal((num_points, 2))


def exact_log_density(z: np.ndarray, *, noise: float, units: Units, data_chunk: int = 200) -> np.ndarray:
    """Log-density of standardised points, nats, `(datum, 2)` to `(datum,)`, by Gauss-Legendre quadrature over t.

    A panel is at most one noise width of arc long, which leaves an error far below float64's share of the noise. The
    spiral's radius is t, so |x - c(t)| >= ||x| - t|: points of like radius share the few turns that count for them.
    """
    fastest = math.hypot(1.0, LAST_ANGLE)  # length of arc per radian at the outer end
    num_panels = math.ceil((LAST_ANGLE - FIRST_ANGLE) * fastest / noise)
    node, weight = np.polynomial.legendre.leggauss(8)
    edges = np.linspace(FIRST_ANGLE, LAST_ANGLE, num_panels + 1)
    half = (edges[1] - edges[0]) / 2
    angle = ((edges[:-1] + half)[:, None] + half * node).ravel()
    log_weight = np.log(np.tile(half * weight, num_panels) / (LAST_ANGLE - FIRST_ANGLE))
    centre = _spiral(angle)
    coarse = _spiral(np.linspace(FIRST_ANGLE, LAST_ANGLE, 1000))
    x = units.unstandardise(z)
    radius = np.hypot(x[:, 0], x[:, 1])

    def of_chunk(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
        # Beyond this distance a term is less than exp(-50) of the largest.
        reach = np.sqrt(_squared_distance(points, coarse).min(axis=1) + 100 * noise**2)
        first, last = np.searchsorted(angle, [(radius - reach).min(), (radius + reach).max()])
        exponent = log_weight[first:last] - _squared_distance(points, centre[first:last]) / (2 * noise**2)
        peak = exponent.max(axis=1)
        return peak + np.log(np.exp(exponent - peak[:, None]).sum(axis=1))

    order = np.argsort(radius)
    log_density = np.empty(len(x))
    for start in range(0, len(x), data_chunk):
        chunk = order[start : start + data_chunk]
        log_density[chunk] = of_chunk(x[chunk], radius[chunk])
    return log_density - math.log(2 * math.pi * noise**2) - units.log_det


def _squared_distance(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return (points[:, None, 0] - centre[:, 0]) ** 2 + (points[:, None, 1] - centre[:, 1]) ** 2


def _spiral(angle: np.ndarray) -> np.ndarray:
    return angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
