"""Distances between two sets of draws."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin

from benchmarks.coverage.row import Measure, Row, covers, row
from dpm_ppl.analysis.posteriors.distances import classifier_two_sample, maximum_mean_discrepancy, sliced_wasserstein


class Threshold(ClassifierMixin, BaseEstimator):
    """Calls a draw one of the second set where its first coordinate is above `at`: its accuracy is known."""

    def __init__(self, at: float = 0.0):
        self.at = at

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Threshold":
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return (x[:, 0] > self.at).astype(int)


def distances(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Wasserstein and MMD against their expectations, which for Wasserstein are above the truth by its bias."""
    repetitions = min(repetitions, 400)
    kinds = {
        "sliced W1": partial(sliced_wasserstein, p=1, num_permutations=9),
        "sliced W2": partial(sliced_wasserstein, p=2, num_permutations=9),
        "MMD²": partial(maximum_mean_discrepancy, num_permutations=99, bandwidth=2.0),
    }
    for shift in (0.3, 1.0):
        for num in (50, 200):
            for name, distance in kinds.items():
                found = []
                for seed in range(repetitions):
                    a, b = rng.normal(size=(num, 3)), rng.normal(shift, 1, size=(num, 3))
                    found.append(distance(a, b, seed=seed).value)
                mean, se = np.array([(value.mean, value.se) for value in found]).T
                yield row(
                    f"normal draws {shift:g} apart", f"{name}, {num} draws, expectation", covers(mean, se, mean.mean())
                )


def accuracies(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Of a given classifier, whose true accuracy is known."""
    for shift in (0.0, 1.0, 4.0):
        for num in (20, 200):
            hits = []
            for seed in range(repetitions):
                a, b = rng.normal(-shift / 2, 1, (num, 1)), rng.normal(shift / 2, 1, (num, 1))
                value = classifier_two_sample(a, b, classifier=Threshold(), seed=seed).value
                hits.append(covers(value.mean, value.se, norm.cdf(shift / 2)))
            yield row(f"normal draws {shift:g} apart", f"C2ST accuracy, {num} draws", hits)


MEASURES: tuple[Measure, ...] = (distances, accuracies)
