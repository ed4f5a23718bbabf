"""What was observed, and how: the file and the likelihood that `dpm-ppl posterior` is given, checked at once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpm_ppl._common.checks import number_in, one_of
from dpm_ppl._common.errors import InputError
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.by_coordinate import flipped, known_coordinates, noisy_coordinates, noisy_levels
from dpm_ppl.posterior.observations import AbstractObservation

LIKELIHOODS = ("gaussian", "mask", "flip")
FARTHEST = 20.0
"""Standard deviations of data and noise that an observation may lie from the data's mean: beyond, its unit is wrong."""


@dataclass(frozen=True)
class Noise:
    """How the data were observed: one of `LIKELIHOODS`, `sigma` of the first and `rate` of the last."""

    likelihood: str
    sigma: float | None = None
    rate: float | None = None

    def check(self, units: Units) -> None:
        """Raise `InputError` where the data are not of its kind, or a number is missing, too many, or out of range."""
        one_of("--likelihood", self.likelihood, LIKELIHOODS, "name one")
        are_bits = units.kind == "binary"
        fitting = ("mask", "flip") if are_bits else LIKELIHOODS if units.whole else ("gaussian", "mask")
        if self.likelihood not in fitting:
            raise InputError(
                "--likelihood",
                expected=f"{' or '.join(fitting)}, as the data are {'bits' if are_bits else 'real numbers'}",
                got=self.likelihood,
                remedy="name one of these",
            )
        for flag, value, of in (("--sigma", self.sigma, "gaussian"), ("--rate", self.rate, "flip")):
            if (value is None) == (self.likelihood == of):
                what = (
                    "the noise's standard deviation"
                    if of == "gaussian"
                    else "the share of the coordinates that are flipped"
                )
                raise InputError(
                    flag,
                    expected=what if value is None else f"--likelihood {of}, to which it belongs",
                    got="none" if value is None else self.likelihood,
                    remedy=f"for example {flag} {'0.5' if of == 'gaussian' else '0.1'}"
                    if value is None
                    else "leave it out",
                )
        if self.sigma is not None:
            expected = "a positive number, in the units of the data"
            number_in("--sigma", self.sigma, 0, expected=expected, remedy="for known coordinates use --likelihood mask")
        if self.rate is not None:
            number_in("--rate", self.rate, 0, 1, expected="a share between 0 and 1", remedy="for example --rate 0.1")

    def of(self, diffusion: StepLaws, observed: np.ndarray, units: Units) -> AbstractObservation:
        """What one observation says; coordinates that are NaN were not observed."""
        if self.likelihood == "mask":
            return known_coordinates(diffusion, observed, units)
        num_levels = diffusion.kernel.num_levels
        if self.rate is not None:
            assert num_levels is not None  # which `check` has seen to, as it has to sigma
            return flipped(observed, self.rate, num_levels)
        assert self.sigma is not None
        if num_levels is not None:
            return noisy_levels(observed, self.sigma, num_levels)
        return noisy_coordinates(observed, self.sigma, units)


def read_observed(path: Path, units: Units, noise: Noise) -> np.ndarray:
    """The observations of a .npy file, `(observation, *event_shape)`, whether it holds one or several.

    **Raises:** `InputError` where it cannot be read, has another shape, or values that the data cannot have.
    """
    try:
        given = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        got = f"no file {path}" if isinstance(error, FileNotFoundError) else f"{path}, which cannot be read as one"
        raise InputError(
            "--observe", expected="a .npy file of numbers", got=got, remedy="numpy.save makes one"
        ) from error
    shape = units.event_shape
    several = given[None] if isinstance(given, np.ndarray) and given.shape == shape else given
    if not isinstance(several, np.ndarray) or several.dtype.kind not in "biuf" or several.shape[1:] != shape:
        words = f"shape {given.shape}, dtype {given.dtype}" if isinstance(given, np.ndarray) else "an archive"
        raise InputError(
            "--observe",
            expected=f"numbers of shape {shape}, or several of them along a first axis",
            got=words,
            remedy="give data of the shape that the run was fitted to",
        )
    observed = several.astype(np.float64)
    if not len(observed) or np.isinf(observed).any():
        got = "no observation" if not len(observed) else "infinite ones"
        raise InputError("--observe", expected="finite numbers, NaN for the unseen", got=got, remedy="check the file")
    _check_seen(observed, noise)
    _check_unit(observed, units, noise)
    return observed


def _check_seen(observed: np.ndarray, noise: Noise) -> None:
    seen = ~np.isnan(observed).reshape(len(observed), -1)
    empty, full = ~seen.any(axis=1), seen.all(axis=1)
    if empty.any() or (noise.likelihood == "mask" and full.any()):
        number = int(np.argmax(empty if empty.any() else full))
        raise InputError(
            "--observe",
            expected="some coordinates that were observed" + " and some not" * (noise.likelihood == "mask"),
            got=f"{'none' if empty.any() else 'all'} observed in observation {number}",
            remedy="NaN marks what was not observed",
        )


def _check_unit(observed: np.ndarray, units: Units, noise: Noise) -> None:
    values = observed[~np.isnan(observed)]
    num_levels = units.num_symbols or units.num_levels
    if num_levels is not None and noise.likelihood != "gaussian":
        wrong = values[(values != np.round(values)) | (values < 0) | (values > num_levels - 1)]
        if wrong.size:
            kind = "bits, 0 or 1" if num_levels == 2 else f"whole numbers, 0 ... {num_levels - 1}"
            raise InputError(
                "--observe",
                expected=f"{kind}, as the data",
                got=f"{wrong[0]:g}",
                remedy="give it in the units of the data",
            )
        return
    shift, scale = units.shift, units.scale
    if units.whole and num_levels is not None:  # as if all levels were as frequent
        shift, scale = (num_levels - 1) / 2, num_levels / np.sqrt(12)
    spread = np.sqrt(np.square(scale) + (noise.sigma or 0.0) ** 2)
    apart = np.abs(observed - shift) / spread
    if np.nanmax(apart) > FARTHEST:
        place = np.unravel_index(int(np.nanargmax(apart)), observed.shape)
        raise InputError(
            "--observe",
            expected="observations in the units of the data",
            got=f"{observed[place]:g}, which is {apart[place]:,.0f} standard deviations from the mean of the data",
            remedy="give them as the data were given to fit",
        )
