"""A user's own data, fitted with settings that suit small continuous, binary or K-level data and tables."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import solve_triangular

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.remarks import remarks, smallest_spread
from dpm_ppl.data.rows import chunks
from dpm_ppl.data.rows import moments as first_moments
from dpm_ppl.diffusion import Diffusion, Edge
from dpm_ppl.experiments import Recipe, Task, option
from dpm_ppl.experiments.options import check_range, flag, kept
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction
from dpm_ppl.models._options import ZooOptions
from dpm_ppl.models._own_data import OwnData, read_own, without_data
from dpm_ppl.models._parts import EDGE, NUM_STEPS, adam, network_key
from dpm_ppl.models.methods._parts import some_data
from dpm_ppl.networks import AbstractNetwork, TimeMLP, gaussian_network, level_network
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.schedules import Erasure, LogSNR
from dpm_ppl.schedules.steps import smallest_rates

MOST_LEVEL_OUTPUTS = 20_000
"""Levels times coordinates, beyond which a network that predicts levels is too large."""
MOST_WIDTH, MOST_DEPTH = 10_000, 100
BELOW_SPREAD = 50
"""How many times smaller than the spread of the data the noise of the first step is."""
LAST_LOG_SNR = -8.0
MOST_BETA_1 = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnTask(Task):
    """A task whose data came from a file."""

    own: OwnData


@dataclass(frozen=True, kw_only=True)
class Array(ZooOptions):
    """Diffusion of your own data, by default with a tenth held out and the best parameters kept by a validation split.

    `digest` is the SHA-256 of the file, kept with a run so that it is not continued on other data. `data_facts`, kept
    with a run too, declare the experiment without its data, to draw from what has been trained.
    """

    name: ClassVar[str] = "array"

    data: str | Path | None = option(
        None, "A .npy file of shape (points, ...), or a .csv, .parquet or .npz file of named columns."
    )
    test_data: str | Path | None = option(
        None, "Another such file, whose data are held out in place of some of the first."
    )
    kernel: str | None = option(None, '"gaussian" or "bernoulli"; "bernoulli" for bits if not given.')
    levels: int | None = option(None, "Number of levels, if the data are whole numbers 0 ... levels - 1.")
    scale: str | None = option(
        None, 'Of real data: "columns" for one scale each, the default of vectors, or "pooled", that of images.'
    )
    heldout_share: float = option(0.1, "Share of the data that is held out.")
    validation_share: float = option(0.1, "Share of the rest by which the parameters to keep are chosen.")
    edge: Edge = option("fixed", EDGE, of_diffusion=True)
    num_steps: int = option(1000, NUM_STEPS, of_diffusion=True)
    beta_1: float | None = option(
        None, "Rate of the first step; chosen by the spread of the data if not given.", of_diffusion=True
    )
    pi: float | None = option(None, "Stationary rate of bits; that of the data if not given.", of_diffusion=True)
    learning_rate: float = option(1e-3, "Peak of the learning rate.", of_diffusion=True)
    batch_size: int = option(256, "Data in a batch.", of_diffusion=True)
    width: int | None = option(
        None, "Width of the network; chosen by the number of data if not given.", of_diffusion=True
    )
    depth: int = option(3, "Hidden layers of the network.", of_diffusion=True)
    digest: str | None = kept(recorded=True)
    data_facts: dict[str, Any] | None = kept(recorded=False)

    def task(self, seed: int) -> OwnTask:
        self._check_ranges()
        own = self._own_data(seed)
        gaussian = own.gaussian
        return OwnTask(
            own=own,
            train=own.train,
            validation=own.validation,
            heldout=own.heldout,
            data_facts=own.facts(),
            notices=notices(own),
            gaussian=None if gaussian is None else gaussian_log_density(*gaussian),
        )

    def filled(self, task: OwnTask) -> "Array":
        own = task.own
        known = replace(
            self,
            data=Path(self.data or "").resolve(),
            test_data=None if self.test_data is None else Path(self.test_data).resolve(),
            kernel=own.kernel,
            scale=own.scale,
            digest=own.digest,
        )
        if own.kernel == "bernoulli":
            pi = float(np.clip(first_moments(own.known.source, True)[0], 0.02, 0.98)) if self.pi is None else self.pi
            return replace(known, pi=pi, beta_1=1 / self.num_steps if self.beta_1 is None else self.beta_1)
        if self.pi is not None:
            raise InputError(
                "--pi", expected="none with the gaussian kernel", got=self.pi, remedy="it is the rate of bits"
            )
        return replace(known, beta_1=first_rate(own.known) if self.beta_1 is None else self.beta_1)

    def diffusion(self, task: OwnTask, seed: int) -> Recipe:
        if task.own.kernel == "bernoulli":
            kernel, schedule = BernoulliKernel(self.pi, clean_rate), Erasure(self.num_steps, self.beta_1)
        else:
            kernel = GaussianKernel(noise_prediction)
            schedule = LogSNR(self.num_steps, log_snr(self.beta_1), LAST_LOG_SNR)
        network = build_network(task.own, self.num_steps, self.width, self.depth, seed)
        updates = updates_for(task.train, self.batch_size)
        return Recipe(
            method=Diffusion(kernel, schedule, network, task.train.event_shape, self.edge),
            objective=DiffusionELBO(num_sampled_steps=4),
            optimiser=partial(adam, learning_rate=self.learning_rate),
            num_updates=updates,
            batch_size=min(self.batch_size, task.train.num_points),
            averaging=1 - 10 / updates,
        )

    def _check_ranges(self) -> None:
        for name, least, most in (
            ("heldout_share", 1e-6, 0.5),
            ("validation_share", 0.0, 0.5),
            ("beta_1", smallest_rates()[0], 0.5),
            ("learning_rate", 1e-9, 1.0),
            ("batch_size", 1, None),
            ("width", 1, MOST_WIDTH),
            ("depth", 1, MOST_DEPTH),
        ):
            if (value := getattr(self, name)) is not None:
                check_range(flag(name), value, least, most)

    def _own_data(self, seed: int) -> OwnData:
        if self.data_facts is not None:
            return without_data(self.data_facts, self.kernel, self.scale)
        return read_own(
            self.data,
            kernel=self.kernel,
            levels=self.levels,
            scale=self.scale,
            test_data=self.test_data,
            heldout_share=self.heldout_share,
            validation_share=0.0 if self.method == "gaussian" else self.validation_share,  # which takes its moments
            seed=seed,
            digest=self.digest,
        )


def updates_for(train: Dataset, batch_size: int) -> int:
    """So many passes over the data, more where they have few coordinates; at least 1,000 updates, at most 10,000."""
    passes = 320 if train.units.num_coordinates <= 8 else 100
    return int(np.clip(passes * train.num_points // batch_size, 1_000, 10_000))


def notices(own: OwnData) -> tuple[str, ...]:
    """What the data are taken for, and what is odd about them."""
    units = own.known.units
    validation = "" if own.validation is None else f", {own.validation.num_points:,} to choose parameters by"
    scale = {"columns": ", each column scaled by itself", "pooled": ", all coordinates scaled alike"}.get(own.scale, "")
    found = [
        f"{own.train.num_points:,} data to train on{validation}, {own.heldout.num_points:,} held out; "
        f"{own.kernel} kernel{scale}"
    ]
    if units.columns:
        found.append(f"columns: {', '.join(map(str, units.columns))}")
    if units.kind == "mixed":
        found.append("whole numbers and categories are dequantised: K bounds their log-probability from below")
    return (*found, *remarks(own.known, own.heldout))


def first_rate(known: Dataset) -> float:
    """beta_1, so that the noise of the first step is well below the spread of the data, and seen in float32."""
    rate = (smallest_spread(known) / BELOW_SPREAD) ** 2
    return float(np.clip(rate, 4 * smallest_rates()[0], MOST_BETA_1))


def log_snr(beta_1: float) -> float:
    """The log signal-to-noise ratio after the first step."""
    return math.log1p(-beta_1) - math.log(beta_1)


def build_network(
    own: OwnData,
    num_steps: int,
    width: int | None,
    depth: int,
    seed: int,
) -> AbstractNetwork:
    """The perceptron; for levels inside a level network, else on top of the chain of the Gaussian of these moments."""
    units, shape = own.known.units, own.known.event_shape
    width = (256 if own.train.num_points >= 5_000 else 128) if width is None else width

    def inner(num_outputs: int) -> TimeMLP:
        return TimeMLP(shape, num_outputs, num_steps, width=width, depth=depth, key=network_key(seed))

    if own.kernel == "bernoulli":
        return inner(1)
    if units.num_levels is not None and units.num_levels * units.num_coordinates <= MOST_LEVEL_OUTPUTS:
        return level_network(
            inner(units.num_levels),
            some_data(own.known),
            units.num_levels,
            shift=float(units.shift),
            scale=float(units.scale),
        )
    gaussian = own.gaussian
    return inner(2) if gaussian is None else gaussian_network(inner(2), *gaussian)


def gaussian_log_density(mean: np.ndarray, covariance: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """That of a Gaussian with these moments, of standardised data, `(datum, *event)` to `(datum,)`, in nats."""
    root = np.linalg.cholesky(covariance)
    constant = -np.log(np.diag(root)).sum() - 0.5 * len(mean) * math.log(2 * math.pi)

    def of_part(part: np.ndarray) -> np.ndarray:
        deviations = part.astype(np.float64).reshape(len(part), -1) - mean
        return constant - 0.5 * np.square(solve_triangular(root, deviations.T, lower=True)).sum(axis=0)

    return lambda x_0: np.concatenate([of_part(part) for _, part in chunks(x_0)])
