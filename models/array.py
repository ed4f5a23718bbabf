"""A user's own data, fitted with settings that suit small continuous, binary or K-level data and tables."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.remarks import remarks, smallest_spread
from dpm_ppl.data.rows import chunks
from dpm_ppl.data.rows import moments as first_moments
from dpm_ppl.diffusion import Diffusion, Edge
from dpm_ppl.experiments.declaring import check_range
from dpm_ppl.experiments.experiment import DIFFUSION, Experiment
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction
from dpm_ppl.models._methods import with_method
from dpm_ppl.models._own_data import OwnData, read_own, without_data
from dpm_ppl.models._parts import adam, network_key
from dpm_ppl.models.methods._parts import some_data
from dpm_ppl.models.methods.gaussian import moments
from dpm_ppl.networks import AbstractNetwork, TimeMLP, gaussian_network, level_network
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.schedules import Erasure, LogSNR
from dpm_ppl.schedules.steps import smallest_rates

MOST_LEVEL_OUTPUTS = 20_000
"""Levels times coordinates, beyond which a network that predicts levels is too large."""
MOST_CORRELATED = 2_000
"""Coordinates, beyond which their covariance is too large to be worked with."""
MOST_WIDTH, MOST_DEPTH = 10_000, 100
BELOW_SPREAD = 50
"""How many times smaller than the spread of the data the noise of the first step is."""
LAST_LOG_SNR = -8.0
MOST_BETA_1 = 1e-5


def experiment(
    *,
    method: str = DIFFUSION,
    data: str | Path | None = None,
    kernel: str | None = None,
    levels: int | None = None,
    scale: str | None = None,
    test_data: str | Path | None = None,
    heldout_share: float = 0.1,
    validation_share: float = 0.1,
    edge: Edge = "fixed",
    num_steps: int = 1000,
    beta_1: float | None = None,
    pi: float | None = None,
    learning_rate: float = 1e-3,
    batch_size: int = 256,
    width: int | None = None,
    depth: int = 3,
    seed: int = 0,
    digest: str | None = None,
    data_facts: dict[str, Any] | None = None,
) -> Experiment:
    """Diffusion of your own data, by default with a tenth held out and the best parameters kept by a validation split.

    `data` is a .npy file of shape (points, ...), or a .csv, .parquet or .npz file of named columns; `test_data`,
    another such file, takes the place of what is held out. `kernel` is bernoulli for bits, if not given. `levels` says
    that the array holds whole numbers 0 ... levels - 1, to be dequantised. `scale` is of real data: one scale for each
    of the columns, the default of vectors, or a pooled one, that of images. `beta_1` is the rate of the first step, by
    default chosen by the spread of the data; `pi` the stationary rate of bits, that of the data if not given. `digest`
    is the SHA-256 of the file, kept with a run so that it is not continued on other data. `data_facts`, kept with a run
    too, declare the experiment without its data, to draw from what has been trained.
    """
    for argument, value, least, most in (
        ("--heldout-share", heldout_share, 1e-6, 0.5),
        ("--validation-share", validation_share, 0.0, 0.5),
        ("--beta-1", beta_1, smallest_rates()[0], 0.5),
        ("--learning-rate", learning_rate, 1e-9, 1.0),
        ("--batch-size", batch_size, 1, None),
        ("--width", width, 1, MOST_WIDTH),
        ("--depth", depth, 1, MOST_DEPTH),
    ):
        if value is not None:
            check_range(argument, value, least, most)
    if data_facts is None:
        own = read_own(
            data,
            kernel=kernel,
            levels=levels,
            scale=scale,
            test_data=test_data,
            heldout_share=heldout_share,
            validation_share=0.0 if method == "gaussian" else validation_share,  # which takes its moments, once
            seed=seed,
            digest=digest,
        )
    else:
        own = without_data(data_facts, kernel, scale)
    shape, is_bits = own.train.event_shape, own.kernel == "bernoulli"
    if is_bits:
        pi = float(np.clip(first_moments(own.known.source, True)[0], 0.02, 0.98)) if pi is None else pi
        beta_1 = 1 / num_steps if beta_1 is None else beta_1
        family, schedule = BernoulliKernel(pi, clean_rate), Erasure(num_steps, beta_1)
    elif pi is not None:
        raise InputError("--pi", expected="none with the gaussian kernel", got=pi, remedy="it is the rate of bits")
    else:
        beta_1 = first_rate(own.known) if beta_1 is None else beta_1
        family, schedule = GaussianKernel(noise_prediction), LogSNR(num_steps, log_snr(beta_1), LAST_LOG_SNR)
    updates = updates_for(own.train, batch_size)
    is_small = not is_bits and own.known.units.num_coordinates <= MOST_CORRELATED
    gaussian = moments(own.known.source, own.known.units) if is_small else None
    network = build_network(own, gaussian, num_steps, width, depth, seed)
    declared = Experiment(
        name="array",
        options={
            "data": str(Path(data or "").resolve()),
            "test_data": None if test_data is None else str(Path(test_data).resolve()),
            "kernel": own.kernel,
            "levels": levels,
            "scale": own.scale,
            "heldout_share": heldout_share,
            "validation_share": validation_share,
            "edge": edge,
            "num_steps": num_steps,
            "beta_1": beta_1,
            "pi": pi,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "width": width,
            "depth": depth,
            "digest": own.digest,
        },
        seed=seed,
        train=own.train,
        validation=own.validation,
        heldout=own.heldout,
        data_facts=own.facts(),
        method=Diffusion(family, schedule, network, shape, edge),
        objective=DiffusionELBO(num_sampled_steps=4),
        optimiser=partial(adam, learning_rate=learning_rate),
        num_updates=updates,
        batch_size=min(batch_size, own.train.num_points),
        averaging=1 - 10 / updates,
        notices=notices(own),
        gaussian=None if gaussian is None else gaussian_log_density(*gaussian),
    )
    return with_method(declared, method)


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
    gaussian: tuple[np.ndarray, np.ndarray] | None,
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
    return inner(2) if gaussian is None else gaussian_network(inner(2), *gaussian)


def gaussian_log_density(mean: np.ndarray, covariance: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """That of a Gaussian with these moments, of standardised data, `(datum, *event)` to `(datum,)`, in nats."""
    root = np.linalg.cholesky(covariance)
    constant = -np.log(np.diag(root)).sum() - 0.5 * len(mean) * math.log(2 * math.pi)

    def of_part(part: np.ndarray) -> np.ndarray:
        deviations = part.astype(np.float64).reshape(len(part), -1) - mean
        return constant - 0.5 * np.square(solve_triangular(root, deviations.T, lower=True)).sum(axis=0)

    return lambda x_0: np.concatenate([of_part(part) for _, part in chunks(x_0)])
