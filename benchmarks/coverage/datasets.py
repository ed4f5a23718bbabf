"""Figures of sets of data: means, paired differences, means with weights of some, rises, gaps, two-sided bounds.

"Expectation" is that of the figure itself: a log-mean of few weights lies below log p on average, and says so.
"""

from collections.abc import Iterator

import jax
import numpy as np

from benchmarks import roll
from benchmarks.coverage.regimes import VALUES, WORLDS
from benchmarks.coverage.row import Measure, Row, covers, row
from dpm_ppl.analysis.comparison.entry import known_better
from dpm_ppl.diffusion.bounds import bound
from dpm_ppl.estimates.standard_errors import estimate, paired_difference
from dpm_ppl.estimates.subsets import extended_mean
from dpm_ppl.likelihood import ladder

NUM_DRAWS = 64
"""Of weights per datum."""


def means(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """`estimate` of few and many values."""
    for regime, law in VALUES.items():
        for num in (5, 10, 20, 100, 1000):
            found = estimate(law.draw(rng, (num, repetitions)))
            yield row(regime, f"mean of {num:,}", covers(found.mean, found.se, law.mean))


def bounds(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """K of few data by `bound`, against its expectation."""
    diffusion = roll.diffusion(10, width=8, depth=1)
    points = rng.normal(size=(20 * repetitions, 2)).astype(np.float32)
    K = np.asarray(bound(diffusion, points, jax.random.key(int(rng.integers(2**31)))).K, np.float64)
    for num in (10, 20):
        found = estimate(K.reshape(-1, num).T)
        yield row("untrained chain, normal data", f"K of {num} data", covers(found.mean, found.se, K.mean()))


def tied(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Two methods of one law: how often their order counts as open, nominally 95.4 percent."""
    for num in (3, 5, 10, 100):
        a, b = rng.normal(size=(2, repetitions, num))
        differences = [paired_difference(*pair) for pair in zip(a, b, strict=True)]
        open_order = [not known_better(difference) and not known_better(-difference) for difference in differences]
        yield row("two tied methods", f"order open, {num} data", open_order, least=0.945)


def weighted(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Means over all data from the weights of some, their gaps to the exact value, and their cumulants."""
    repetitions = min(repetitions, 500)
    for regime, world in WORLDS.items():
        expected = _log_means(world.draw(rng, 60_000, 60_000, NUM_DRAWS)[2]).mean()
        for num_all, num in ((60, 10), (60, 60), (1000, 10), (1000, 50), (1000, 100)):
            known, hits, gaps, cumulants = np.arange(num), [], [], []
            for _ in range(repetitions):
                K, exact, log_weights = world.draw(rng, num_all, num, NUM_DRAWS)
                values, K[:num] = _log_means(log_weights), log_weights.mean(axis=1)
                lacking = [] if world.misfit is None else [exact - K]
                figure = extended_mean(values, known, K, lacking)
                hits.append(covers(figure.mean, figure.se, expected))
                if world.misfit is not None:
                    gap = extended_mean(exact[:num] - values, known, exact - K, [K])
                    gaps.append(covers(gap.mean, gap.se, world.misfit**2 / 2 - 1 - expected))
                cumulant = extended_mean(K[:num] + log_weights.var(axis=1, ddof=1) / 2, known, K, lacking)
                cumulants.append(covers(cumulant.mean, cumulant.se, -1.0))
            some = f"{num} of {num_all:,} data with weights" if num < num_all else f"all {num} data with weights"
            yield row(regime, f"mean over {some}, expectation", hits)
            if gaps:
                yield row(regime, f"gap, {some}, expectation", gaps)
            yield row(regime, f"cumulant, {some}", cumulants)


def log_likelihoods(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """`LogLikelihood.mean` of few data, against the true mean log p (of light weights, which leave little bias)."""
    for num in (10, 20):
        _, _, log_weights = WORLDS["light weights"].draw(rng, num * repetitions, num * repetitions, 256)
        found = estimate(_log_means(log_weights).reshape(repetitions, num).T)
        yield row("light weights", f"mean log-likelihood of {num}, true mean log p", covers(found.mean, found.se, -1.0))


def rises(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Log-means of groups of draws, and what a datum gains from one size of group to the next, for few groups."""
    for sd in (0.3, 1.0, 2.0):
        log_weights = sd * rng.normal(size=(repetitions, 256))
        truth = ladder(sd * rng.normal(size=(20 * repetitions, 256)), (1, 8, 16, 32, 64, 128))
        found, regime = ladder(log_weights, (1, 8, 16, 32, 64, 128)), f"log-normal weights, sd {sd:g}"
        for place, size in ((1, 8), (2, 16), (4, 64), (5, 128)):
            groups = f"{256 // size} groups of {size}"
            hits = covers(found.values[:, place], found.se[:, place], truth.values[:, place].mean())
            yield row(regime, f"mean, {groups}", hits)
            if place != 1:
                expected = truth.rises[:, place - 1].mean()
                hits = covers(found.rises[:, place - 1], found.rises_se[:, place - 1], expected)
                yield row(regime, f"rise from the size below, {groups}", hits)


def sandwiches(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Both sides for few simulated data, against their expectations."""
    for sd in (0.3, 1.0):
        shape = (20, repetitions)
        log_p = -rng.chisquare(2, shape) / 2
        # Under the law of the path that made the datum a log-weight is normal around log p + variance / 2.
        exact_path = log_p + sd**2 / 2 + sd * rng.normal(size=shape)
        lower = _log_means(log_p[..., None] - sd**2 / 2 + sd * rng.normal(size=(*shape, NUM_DRAWS)))
        upper = np.logaddexp(lower + np.log(NUM_DRAWS), exact_path) - np.log(NUM_DRAWS + 1)
        for name, values in (("lower", lower), ("upper", upper), ("gap", upper - lower)):
            found = estimate(values)
            hits = covers(found.mean, found.se, values.mean())
            yield row(f"log-normal weights, sd {sd:g}", f"sandwich of 20 data: {name}, expectation", hits)


def _log_means(log_weights: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(log_weights, axis=-1) - np.log(log_weights.shape[-1])


MEASURES: tuple[Measure, ...] = (means, bounds, tied, weighted, log_likelihoods, rises, sandwiches)
