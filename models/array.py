"""A user's own array, fitted with settings that suit small continuous, binary or K-level data."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from dpm_ppl._errors import InputError
from dpm_ppl._rows import moments
from dpm_ppl.data import Dataset, load_array, split
from dpm_ppl.diffusion import Diffusion, Edge
from dpm_ppl.experiment import DIFFUSION, Experiment
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction
from dpm_ppl.models._methods import with_method
from dpm_ppl.models._parts import adam, network_key
from dpm_ppl.networks import TimeMLP
from dpm_ppl.objectives import DiffusionELBO
from dpm_ppl.schedules import Erasure, LogSNR

HELDOUT_SHARE = 0.1


def experiment(
    *,
    method: str = DIFFUSION,
    data: str | Path | None = None,
    kernel: Literal["gaussian", "bernoulli"] | None = None,
    levels: int | None = None,
    edge: Edge = "fixed",
    num_steps: int = 1000,
    pi: float | None = None,
    seed: int = 0,
    digest: str | None = None,
) -> Experiment:
    """Diffusion of the array in `data`, a .npy file of shape (points, ...), a tenth of it held out by the seed.

    `levels` says that the array holds whole numbers 0 ... levels - 1, to be dequantised. `pi` is the stationary rate of
    bits, that of the training data if not given. `digest` is the SHA-256 of the file, kept with a run so that it is not
    continued on other data.
    """
    if data is None:
        raise InputError("--data", expected="a .npy file", got="none", remedy="pass --data x.npy")
    if kernel not in ("gaussian", "bernoulli"):
        raise InputError(
            "--kernel",
            expected="gaussian or bernoulli",
            got=repr(kernel),
            remedy="bernoulli is for bits",
        )
    if kernel == "bernoulli" and levels is not None:
        raise InputError("--levels", expected="none with bits", got=levels, remedy="use --kernel gaussian for levels")
    if kernel == "gaussian" and pi is not None:
        raise InputError("--pi", expected="none with the gaussian kernel", got=pi, remedy="it is the rate of bits")
    values = load_array(data)
    found = _digest(data)
    if digest not in (None, found):
        raise InputError(
            "--data", expected=f"the file this run began with, {data}", got="other contents", remedy="restore the file"
        )
    train, heldout = _datasets(values, kernel, levels, seed)
    shape = train.event_shape
    if kernel == "bernoulli":
        pi = float(np.clip(moments(train.source, True)[0], 0.02, 0.98)) if pi is None else pi
        family, schedule = BernoulliKernel(pi, clean_rate), Erasure(num_steps)
    else:
        family, schedule = GaussianKernel(noise_prediction), LogSNR(num_steps, 14.0, -8.0)
    network = TimeMLP(shape, family.num_outputs, num_steps, width=256, depth=3, key=network_key(seed))
    declared = Experiment(
        name="array",
        options={
            "data": str(Path(data).resolve()),
            "kernel": kernel,
            "levels": levels,
            "edge": edge,
            "num_steps": num_steps,
            "pi": pi,
            "digest": found,
        },
        seed=seed,
        train=train,
        heldout=heldout,
        method=Diffusion(family, schedule, network, shape, edge),
        objective=DiffusionELBO(num_sampled_steps=4),
        optimiser=partial(adam, learning_rate=1e-3),
        num_updates=10_000,
        batch_size=min(256, train.num_points),
    )
    return with_method(declared, method)


def _datasets(values: np.ndarray, kernel: str, levels: int | None, seed: int) -> tuple[Dataset, Dataset]:
    def dataset(part: np.ndarray, reference: Dataset | None = None) -> Dataset:
        if kernel == "bernoulli":
            return Dataset.from_binary(part)
        if levels is not None:
            return Dataset.from_levels(part, levels, reference=reference)
        return Dataset.from_continuous(part, reference=reference)

    try:
        dataset(values)  # whole and in its own order first, so that an error names the place in the file
    except InputError as error:
        argument = "--levels" if error.argument == "num_levels" else "--data"
        raise InputError(argument, expected=error.expected, got=error.got, remedy=error.remedy) from error
    if len(values) < 2:
        raise InputError("--data", expected="at least two data", got=f"shape {values.shape}", remedy="bring more data")
    train, heldout = split(values, len(values) - max(1, round(HELDOUT_SHARE * len(values))), seed)
    reference = dataset(train)
    return reference, dataset(heldout, reference)


def _digest(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
