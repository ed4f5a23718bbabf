"""A user's own data, fitted with settings that suit small continuous, binary or K-level data and tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import dpm_ppl as dpm
from dpm_ppl.experiments.options import DIFFUSION, check_range, flag, kept, option
from dpm_ppl.models import own_data
from dpm_ppl.models._options import ZooOptions
from dpm_ppl.models._parts import EDGE, NUM_STEPS, Edge, adam

MOST_WIDTH, MOST_DEPTH = 10_000, 100


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
    kernel: str | None = option(None, '"gaussian", "bernoulli" or "categorical"; "bernoulli" for bits if not given.')
    levels: int | None = option(
        None, "Number of levels, if the data are whole numbers 0 ... levels - 1; 256 of images in bytes."
    )
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

    def task(self, seed: int) -> own_data.OwnTask:
        self._check_ranges()
        if self.data_facts is not None:
            return own_data.task_of(own_data.without_data(self.data_facts, self.kernel, self.scale))
        own = own_data.read_own(
            self.data,
            # A density needs the noise of dequantised levels.
            kernel="gaussian" if self.kernel == "categorical" and self.method != DIFFUSION else self.kernel,
            levels=self.levels,
            scale=self.scale,
            test_data=self.test_data,
            heldout_share=self.heldout_share,
            validation_share=0.0 if self.method == "gaussian" else self.validation_share,  # which takes its moments
            seed=seed,
            digest=self.digest,
        )
        return own_data.task_of(own)

    def filled(self, task: own_data.OwnTask) -> Array:
        own = task.own
        known = replace(
            self,
            data=Path(self.data or "").resolve(),
            test_data=None if self.test_data is None else Path(self.test_data).resolve(),
            kernel=own.kernel,
            levels=own.known.units.num_levels,
            scale=own.scale,
            digest=own.digest,
        )
        if own.kernel == "bernoulli":
            pi = own_data.rate_of_bits(own.known) if self.pi is None else self.pi
            return replace(known, pi=pi, beta_1=1 / self.num_steps if self.beta_1 is None else self.beta_1)
        if self.pi is not None:
            expected = f"none with the {own.kernel} kernel"
            raise dpm.InputError("--pi", expected=expected, got=self.pi, remedy="it is the rate of bits")
        if own.kernel == "categorical":
            return replace(known, beta_1=own_data.FIRST_RATE_OF_LEVELS if self.beta_1 is None else self.beta_1)
        return replace(known, beta_1=own_data.first_rate(own.known) if self.beta_1 is None else self.beta_1)

    def diffusion(self, task: own_data.OwnTask, seed: int) -> dpm.experiments.Recipe:
        if task.own.kernel == "bernoulli":
            kernel = dpm.BernoulliKernel(self.pi, dpm.clean_rate)
            schedule = dpm.Erasure(self.num_steps, self.beta_1)
        elif task.own.kernel == "categorical":
            kernel = dpm.CategoricalKernel(dpm.kernels.discretised_gaussian(task.train.units.num_levels))
            schedule = own_data.log_snr_schedule(self.num_steps, self.beta_1)
        else:
            kernel = dpm.GaussianKernel(dpm.noise_prediction)
            schedule = own_data.log_snr_schedule(self.num_steps, self.beta_1)
        network = own_data.build_network(task.own, self.num_steps, self.width, self.depth, seed)
        updates = own_data.updates_for(task.train, self.batch_size)
        return dpm.experiments.Recipe(
            method=dpm.Diffusion(kernel, schedule, network, task.train.event_shape, self.edge),
            objective=dpm.DiffusionELBO(num_sampled_steps=4),
            optimiser=partial(adam, learning_rate=self.learning_rate),
            num_updates=updates,
            batch_size=min(self.batch_size, task.train.num_points),
            averaging=1 - 10 / updates,
        )

    def _check_ranges(self) -> None:
        for name, least, most in (
            ("heldout_share", 1e-6, 0.5),
            ("validation_share", 0.0, 0.5),
            ("beta_1", own_data.smallest_rates()[0], 0.5),
            ("learning_rate", 1e-9, 1.0),
            ("batch_size", 1, None),
            ("width", 1, MOST_WIDTH),
            ("depth", 1, MOST_DEPTH),
        ):
            if (value := getattr(self, name)) is not None:
                check_range(flag(name), value, least, most)
