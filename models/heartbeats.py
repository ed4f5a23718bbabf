"""The binary heartbeat (paper, section 3.1.2 and figure 2): 20 bits, a pulse in every fifth, in one of five phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

import dpm_ppl as dpm
from dpm_ppl.experiments.options import option
from dpm_ppl.models._options import ZooOptions
from dpm_ppl.models._parts import EDGE, NUM_STEPS, VARIANT, Edge, adam, chosen, network_key
from dpm_ppl.models._smoothing import smoothed

NUM_BITS, PERIOD = 20, 5
NUM_TRAIN, NUM_HELDOUT = 5_000, 2_000


@dataclass(frozen=True, kw_only=True)
class Heartbeat(ZooOptions):
    """Binomial diffusion of the heartbeat, with beta_t = 1/(T - t + 1) and noise bits as frequent as those of the data.

    The data are the five sequences in turn, whatever the seed.

    The variant `"paper"` is the paper's own configuration: three layers of 50 sigmoid units with readouts for each step
    that give the rate directly (D.1.2); its training starts from readouts that change smoothly over time. Otherwise
    the network reads time smoothly and predicts the clean sequence.
    """

    name: ClassVar[str] = "heartbeat"

    pi: float = option(1 / PERIOD, "Stationary rate of the bits.", of_diffusion=True)
    variant: Literal["default", "paper"] = option("default", VARIANT, of_diffusion=True)
    edge: Edge = option("fixed", EDGE, of_diffusion=True)
    num_steps: int = option(2000, NUM_STEPS, of_diffusion=True)

    def task(self, seed: int) -> dpm.experiments.Task:
        paper = dpm.experiments.Reference("Sohl-Dickstein et al. (2015), table 1, K", -2.414, "bits/sequence")
        return dpm.experiments.Task(
            train=dpm.Dataset.from_binary(sequences(NUM_TRAIN)),
            heldout=dpm.Dataset.from_binary(sequences(NUM_HELDOUT)),
            datum="sequence",
            exact=exact_log_probability,
            references=(paper,),
            num_draws=8,
            picture="figure2",
        )

    def diffusion(self, task: dpm.experiments.Task, seed: int) -> dpm.experiments.Recipe:
        build = chosen("variant", self.variant, {"default": _today, "paper": _paper})
        method = build(self.pi, self.edge, self.num_steps, seed)
        objective = dpm.DiffusionELBO(num_sampled_steps=4)
        if self.variant == "paper":
            return dpm.experiments.Recipe(
                method=method,
                objective=objective,
                optimiser=partial(adam, learning_rate=1e-4),  # which moves on from a start near the best
                num_updates=300,
                batch_size=250,
                averaging=0.99,
                start=smoothed,
            )
        return dpm.experiments.Recipe(
            method=method,
            objective=objective,
            optimiser=partial(adam, learning_rate=1e-2),
            num_updates=20_000,
            batch_size=250,
        )


def _today(pi: float, edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    network = dpm.TimeMLP((NUM_BITS,), 1, num_steps, width=64, depth=2, key=network_key(seed))
    return dpm.Diffusion(dpm.BernoulliKernel(pi, dpm.clean_rate), dpm.Erasure(num_steps), network, (NUM_BITS,), edge)


def _paper(pi: float, edge: Edge, num_steps: int, seed: int) -> dpm.Diffusion:
    schedule = dpm.Erasure(num_steps)  # which knows how many are too many, before the network makes a readout for each
    network = dpm.networks.SigmoidMLP((NUM_BITS,), 1, num_steps, key=network_key(seed))
    return dpm.Diffusion(dpm.BernoulliKernel(pi, dpm.kernels.direct_rate), schedule, network, (NUM_BITS,), edge)


def sequences(num_points: int) -> np.ndarray:
    """Heartbeats, `(num_points, 20)`, the five phases in turn."""
    phase = np.arange(num_points)[:, None] % PERIOD
    return (np.arange(NUM_BITS) % PERIOD == phase).astype(np.int32)


def exact_log_probability(x: np.ndarray) -> np.ndarray:
    """log(1/5) for each of the five sequences and -inf for any other, `(datum, 20)` to `(datum,)`."""
    known = (np.asarray(x)[:, None, :] == sequences(PERIOD)).all(axis=2).any(axis=1)
    return np.where(known, -math.log(PERIOD), -math.inf)


def share_of_phases(x: np.ndarray) -> np.ndarray:
    """Share of sequences that are exactly each of the five heartbeats, `(datum, 20)` to `(5,)`."""
    return (np.asarray(x)[:, None, :] == sequences(PERIOD)).all(axis=2).mean(axis=0)
