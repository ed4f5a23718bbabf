"""The parts of a diffusion of a user's own data, as far as the data decide them."""

import math

import numpy as np

from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.remarks import smallest_spread
from dpm_ppl.data.rows import moments
from dpm_ppl.models._parts import network_key
from dpm_ppl.models.methods._parts import some_data
from dpm_ppl.models.own_data.reading import OwnData
from dpm_ppl.networks import AbstractNetwork, TimeMLP, categorical_network, gaussian_network, level_network
from dpm_ppl.schedules import LogSNR
from dpm_ppl.schedules.steps import smallest_rates

MOST_LEVEL_OUTPUTS = 20_000
"""Levels times coordinates, beyond which a network that predicts levels is too large."""
BELOW_SPREAD = 50
"""How many times smaller than the spread of the data the noise of the first step is."""
LAST_LOG_SNR = -8.0
MOST_BETA_1 = 1e-5
FIRST_RATE_OF_LEVELS = 1e-5


def updates_for(train: Dataset, batch_size: int) -> int:
    """So many passes over the data, more where they have few coordinates; at least 1,000 updates, at most 10,000."""
    passes = 320 if train.units.num_coordinates <= 8 else 100
    return int(np.clip(passes * train.num_points // batch_size, 1_000, 10_000))


def rate_of_bits(known: Dataset) -> float:
    """pi, the share of ones among all bits; neither value is too rare."""
    return float(np.clip(moments(known.source, True)[0], 0.02, 0.98))


def first_rate(known: Dataset) -> float:
    """beta_1, so that the noise of the first step is well below the spread of the data, and seen in float32."""
    rate = (smallest_spread(known) / BELOW_SPREAD) ** 2
    return float(np.clip(rate, 4 * smallest_rates()[0], MOST_BETA_1))


def log_snr_schedule(num_steps: int, beta_1: float) -> LogSNR:
    """From the log signal-to-noise ratio after a first step of rate beta_1 down to `LAST_LOG_SNR`."""
    return LogSNR(num_steps, math.log1p(-beta_1) - math.log(beta_1), LAST_LOG_SNR)


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
    if own.kernel == "categorical":
        num_levels = own.known.units.num_levels or 2
        of_indicators = TimeMLP((*shape, num_levels), 1, num_steps, width=width, depth=depth, key=network_key(seed))
        return categorical_network(of_indicators, some_data(own.known), num_levels)
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
