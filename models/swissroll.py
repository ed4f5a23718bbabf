"""The swiss roll (paper, section 3.1.1 and figure 1): points of the plane around a spiral, with a known density.

The paper gives neither its generator nor its noise; this one is (t cos t, t sin t) + noise N(0, I) with t uniform over
(1.5 pi, 4.5 pi), standardised per coordinate by the training data. Its exact log-density is a one-dimensional integral.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

import dpm_ppl as dpm
from dpm_ppl.experiments.options import option
from dpm_ppl.models._options import ZooOptions
from dpm_ppl.models._parts import EDGE, NUM_STEPS, VARIANT, Edge, adam, chosen, network_key
from dpm_ppl.models._projection import projected

FIRST_ANGLE, LAST_ANGLE = 1.5 * math.pi, 4.5 * math.pi
NUM_TRAIN, NUM_HELDOUT = 100_000, 10_000
FIRST_DATA_SEED = 2015
FREQUENCIES = tuple(2.0 ** np.linspace(0, 6, 8))


@dataclass(frozen=True, kw_only=True)
class SwissRoll(ZooOptions):
    """Gaussian diffusion of the swiss roll.

    The seed draws the data. The variant `"paper"` is the paper's own configuration: T = 40 and a normalised radial
    basis network of 16 units with readouts for each step (D.1.1); its training starts from least squares.
    `"continuous"` is trained in continuous time, and learns its schedule (Kingma et al. 2021).
    """

    name: ClassVar[str] = "swissroll"

    noise: float = option(0.02, "Standard deviation of the points around the spiral, before scaling.")
    variant: Literal["default", "paper", "continuous"] = option(
        "default", f'{VARIANT[:-1]}, "continuous" for a schedule learned in continuous time.', of_diffusion=True
    )
    edge: Edge = option("fixed", EDGE, of_diffusion=True)
    num_steps: int | None = option(None, f"{NUM_STEPS}; 4,000, and 40 of the paper's variant.", of_diffusion=True)

    def task(self, seed: int) -> dpm.experiments.Task:
        if not (math.isfinite(self.noise) and self.noise > 0):
            got = repr(self.noise)
            raise dpm.InputError("noise", expected="a positive number", got=got, remedy="the default is 0.02")
        generator = np.random.default_rng(FIRST_DATA_SEED + seed)
        train = dpm.Dataset.from_continuous(generate(NUM_TRAIN, self.noise, generator), per_coordinate=True)
        return dpm.experiments.Task(
            train=train,
            heldout=dpm.Dataset.from_continuous(generate(NUM_HELDOUT, self.noise, generator), reference=train),
            exact=partial(exact_log_density, noise=self.noise, units=train.units),
            num_draws=2 if self.variant == "paper" else 1,
            picture="figure1",
        )

    def filled(self, task: dpm.experiments.Task) -> SwissRoll:
        # With fewer steps the kernel's independent coordinates cost 0.02 bits where the roll runs aslant.
        steps = {"default": 4000, "paper": 40, "continuous": 4000}
        return self if self.num_steps is not None else replace(self, num_steps=chosen("variant", self.variant, steps))

    def diffusion(self, task: dpm.experiments.Task, seed: int) -> dpm.experiments.Recipe:
        build = chosen("variant", self.variant, {"default": _today, "paper": _paper, "continuous": _continuous})
        method = build(self.edge, self.num_steps, seed)
        if self.variant == "paper":
            return dpm.experiments.Recipe(
                method=method,
                objective=dpm.DiffusionELBO(),
                optimiser=partial(adam, learning_rate=1e-4),  # which moves on from a start near the best
                num_updates=300,
                batch_size=512,
                averaging=0.99,
                start=projected,
            )
        is_continuous = self.variant == "continuous"
        return dpm.experiments.Recipe(
            method=method,
            objective=dpm.objectives.ContinuousELBO(2) if is_continuous else dpm.DiffusionELBO(num_sampled_steps=2),
            optimiser=partial(adam, learning_rate=2e-3),
            num_updates=24_000,
            # At equal cost 2,048 data in fewer updates end 0.01 bits above 512 in more.
            batch_size=2048,
            averaging=0.9995,
        )


def _today(edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    schedule = dpm.LogSNR(num_steps, _first_log_snr(edge), -8.0)
    kernel = dpm.GaussianKernel(dpm.noise_prediction)
    return dpm.Diffusion(kernel, schedule, _network(num_steps, seed), (2,), edge)


def _continuous(edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    schedule = dpm.schedules.LearnedLogSNR(num_steps, _first_log_snr(edge), -8.0)
    kernel = dpm.GaussianKernel(dpm.kernels.velocity)
    return dpm.Diffusion(kernel, schedule, _network(num_steps, seed), (2,), edge)


def _first_log_snr(edge: Edge) -> float:
    # The fixed edge wants beta_1 = 1e-7, far below the default roll's own variance of about 1e-5 in standardised units;
    # a learned one does without, and leaves more of the steps to the rest.
    return 16.1 if edge == "fixed" else 13.8


def _network(num_steps: int, seed: int) -> dpm.TimeMLP:
    return dpm.TimeMLP(
        (2,),
        2,
        num_steps,
        width=128,
        depth=3,
        fourier_frequencies=FREQUENCIES,
        key=network_key(seed),
    )


def _paper(edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    network = dpm.networks.RBFNetwork((2,), 2, num_steps, num_centres=16, key=network_key(seed))
    return dpm.Diffusion(dpm.GaussianKernel(dpm.kernels.drift), _few_steps(num_steps), network, (2,), edge)


def _few_steps(num_steps: int) -> dpm.schedules.Fixed:
    """Log-SNRs at even distances but for the first, as the best schedule of 40 steps has them for any network.

    The paper gives neither its learned rates nor beta_1. With its edge K = 2.35 needs a beta_1 of 0.0115 or less, and
    1/T would cap K at 1.23 bits. What is left of the signal at the end costs no more than a step would.
    """
    log_snr = np.append(16.1, np.linspace(12.9, -1.0, num_steps - 1))
    return dpm.schedules.Fixed(-np.expm1(np.diff(-np.logaddexp(0.0, -log_snr), prepend=0.0)))


def generate(num_points: int, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Points of the roll as they are, `(num_points, 2)`."""
    angle = generator.uniform(FIRST_ANGLE, LAST_ANGLE, num_points)
    return spiral(angle) + noise * generator.standard_normal((num_points, 2))


def exact_log_density(z: np.ndarray, *, noise: float, units: dpm.data.Units, data_chunk: int = 200) -> np.ndarray:
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
    centre = spiral(angle)
    coarse = spiral(np.linspace(FIRST_ANGLE, LAST_ANGLE, 1000))
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


def spiral(angle: Any, xp: Any = np) -> Any:
    """The points of the roll without noise at these angles, `(points,)` to `(points, 2)`, of NumPy or of JAX."""
    return angle[:, None] * xp.stack([xp.cos(angle), xp.sin(angle)], axis=1)
