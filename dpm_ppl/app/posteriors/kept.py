"""Posteriors that are done, in files, so that a command that was interrupted goes on with the others."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dpm_ppl._common.files import make_folder, replacing, whole_archive
from dpm_ppl.estimates.standard_errors import Estimate
from dpm_ppl.posterior import Posterior

STATISTIC = "statistic "


class KeptPosteriors:
    """By the number of their observation, a file each; `identities` say what each is the posterior of.

    What is there of anything else gives way.
    """

    def __init__(self, folder: Path, identities: Sequence[str]):
        self.folder, self.identities = folder, identities

    def get(self, number: int) -> Posterior | None:
        """The posterior of this observation, if it is there."""
        path = self._path(number)
        if not path.exists():
            return None
        try:
            with whole_archive(path) as archive:
                arrays = dict(archive)
            return _posterior(arrays) if str(arrays["identity"]) == self.identities[number] else None
        except Exception as failure:  # a damaged archive fails in many ways, all of which mean the same
            warnings.warn(f"{path} is damaged ({failure}); its posterior is computed anew", stacklevel=2)
            return None

    def __setitem__(self, number: int, posterior: Posterior) -> None:
        make_folder(self.folder, "--out")
        with replacing(self._path(number)) as file:
            np.savez(file, allow_pickle=False, identity=np.array(self.identities[number]), **_arrays(posterior))

    def remove(self) -> None:
        """Removes the files with their folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.npz"


def _arrays(posterior: Posterior) -> dict[str, np.ndarray]:
    evidence = posterior.log_evidence
    figures = () if evidence is None else (evidence.mean, evidence.se, evidence.num)
    return {
        "draws": posterior.draws,
        "log_weights": posterior.log_weights,
        "observed": posterior.observed,
        "log_evidence": np.array(figures, np.float64),
        "words": np.array([posterior.method, posterior.verdict, *posterior.notices]),
        **({} if posterior.log_likelihood is None else {"log_likelihood": posterior.log_likelihood}),
        **{f"{STATISTIC}{name}": np.asarray(value) for name, value in posterior.statistics.items()},
    }


def _posterior(arrays: dict[str, np.ndarray]) -> Posterior:
    method, verdict, *notices = map(str, arrays["words"])
    figures = arrays["log_evidence"]
    return Posterior(
        method=method,
        draws=arrays["draws"],
        log_weights=arrays["log_weights"],
        observed=arrays["observed"],
        log_evidence=Estimate(float(figures[0]), float(figures[1]), int(figures[2])) if len(figures) else None,
        verdict=verdict,
        statistics={
            name.removeprefix(STATISTIC): value for name, value in arrays.items() if name.startswith(STATISTIC)
        },
        notices=tuple(notices),
        log_likelihood=arrays.get("log_likelihood"),
    )
