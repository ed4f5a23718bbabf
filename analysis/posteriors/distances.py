"""How far apart two sets of draws are, beside how far apart two sets from one law would be.

`sliced_wasserstein`, `maximum_mean_discrepancy` and `classifier_two_sample` each return a `Distance`: the figure, its
standard error, and what exact draws of the same numbers would give. All take draws for independent: thin the draws of a
Markov chain first. Coordinates count by their scale: standardise them first where that is not meant. The same `seed`
gives the same figure.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from dpm_ppl._common.checks import check_shape, check_sizes, number_in
from dpm_ppl._common.errors import InputError
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.estimates.widening import CHI_SQUARE_1, QUANTILE, widening

_MOST_CROSSED = 20
"""Coordinates up to which the logistic classifier sees all their products: 230 features."""
_MOST_FOR_BANDWIDTH = 1000


@dataclass(frozen=True)
class Distance:
    """A two-sample figure, and what two sets of exact draws of the same numbers would give.

    `value` is the figure with its standard error; `null_mean` and `null_sd` are the mean and spread of the same figure
    between exact draws; `p_value` is the probability that those reach it. For Wasserstein and MMD the three are from
    permutations of the pooled draws. The p-value is exact. Where the sets differ the pool is wider than either, and the
    Wasserstein null somewhat larger than between draws of one of the laws.
    """

    name: str
    value: Estimate
    null_mean: float
    null_sd: float
    p_value: float

    def __str__(self) -> str:
        return f"{self.format()} (exact draws: {self.format_null()}; p = {self.p_value:.3g})"

    def format(self) -> str:
        """The figure and its standard error, to two digits of the error."""
        return _plus_minus(self.value.mean, self.value.se)

    def format_null(self) -> str:
        """What exact draws give, to two digits of its spread."""
        return _plus_minus(self.null_mean, self.null_sd)


def sliced_wasserstein(
    a: ArrayLike,
    b: ArrayLike,
    *,
    p: Literal[1, 2] = 2,
    num_projections: int = 100,
    num_permutations: int = 199,
    num_bootstraps: int = 50,
    seed: int = 0,
    projections_chunk: int = 16,
) -> Distance:
    """The p-th root of the mean over directions of W_p^p between projected draws (Bonneel et al. 2015, eq. 8).

    Biased upwards by the finite numbers of draws, about as much as the null value says. The standard error has two
    parts, added in squares: that over directions, and that over draws, by the bootstrap with the directions held. It
    covers the figure's own expectation, with its bias.

    **Arguments:** `a`, `b`, draws `(draw, ...)`, whose numbers may differ; `projections_chunk`, how many directions are
    held at once, which bounds the memory to about 50 bytes for each of them and each draw.

    **Raises:** `InputError` where draws are not finite, fewer than two, or of different shapes.
    """
    check_sizes(num_projections=num_projections, num_permutations=num_permutations, projections_chunk=projections_chunk)
    if p not in (1, 2) or not num_bootstraps >= 2:
        got = f"p = {p!r}, num_bootstraps = {num_bootstraps!r}"
        raise InputError("p", expected="1 or 2, and two or more num_bootstraps", got=got, remedy="use the defaults")
    a, b = _checked(a, b)
    pool, (n, m) = np.concatenate([a, b]), (len(a), len(b))
    rng = np.random.default_rng(seed)
    num_projections = num_projections if pool.shape[1] > 1 else 1
    directions = rng.normal(size=(num_projections, pool.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    in_a = _relabelled(n, m, num_permutations, rng)
    again = [rng.multinomial(size, np.full(size, 1 / size), num_bootstraps) for size in (n, m)]
    # How often each draw of the pool stands in either set: once given, permuted, and drawn anew with replacement.
    counts_a = np.concatenate([in_a, np.pad(again[0], ((0, 0), (0, m)))])
    counts_b = np.concatenate([1 - in_a, np.pad(again[1], ((0, 0), (n, 0)))])
    # The quantile functions are steps at i / n and j / m: between two neighbouring steps both are constant.
    steps = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    widths, in_n, in_m = np.diff(steps, prepend=0) / (n * m), (steps - 1) // m, (steps - 1) // n

    costs = np.empty((len(counts_a), num_projections))
    for start in range(0, num_projections, projections_chunk):
        chunk = slice(start, start + projections_chunk)
        projected = directions[chunk] @ pool.T
        order = projected.argsort(axis=1)
        ascending = np.take_along_axis(projected, order, axis=1)
        for cost, *counts in zip(costs[:, chunk], counts_a, counts_b, strict=True):
            quantiles_a, quantiles_b = (np.repeat(ascending, count[order].ravel()) for count in counts)
            gaps = quantiles_a.reshape(-1, n)[:, in_n] - quantiles_b.reshape(-1, m)[:, in_m]
            cost[:] = np.abs(gaps) ** p @ widths
    values = costs.mean(axis=1) ** (1 / p)
    value, null, bootstraps = values[0], values[1 : num_permutations + 1], values[num_permutations + 1 :]
    over_draws = bootstraps.std(ddof=1) * _for_few(n, m)
    over_directions = 0.0
    if num_projections > 1 and value > 0:
        over_directions = estimate(costs[0]).se * value ** (1 - p) / p
    se = float(np.hypot(over_draws, over_directions))
    return _against(f"sliced W{p}", float(value), se, null, n + m)


def maximum_mean_discrepancy(
    a: ArrayLike,
    b: ArrayLike,
    *,
    bandwidth: float | None = None,
    num_permutations: int = 199,
    seed: int = 0,
    rows_chunk: int = 256,
) -> Distance:
    """The *squared* MMD with the kernel exp(-|x - y|^2 / (2 bandwidth^2)), unbiased (Gretton et al. 2012, eq. 3).

    Between exact draws its mean is 0, so it may be negative. The standard error is over draws: that of the jackknife,
    which has the second term of the U-statistic's variance twice, and at least that of the null.

    **Arguments:** `a`, `b`, draws `(draw, ...)`, whose numbers may differ; `bandwidth`, by default the median distance
    between pooled draws that differ; `rows_chunk`, rows of the kernel matrix that are held at once.

    **Raises:** `InputError` where draws are not finite, fewer than two, of different shapes, or (without a `bandwidth`)
    all equal.
    """
    from scipy.spatial.distance import pdist
    from sklearn.metrics.pairwise import rbf_kernel

    check_sizes(num_permutations=num_permutations, rows_chunk=rows_chunk)
    a, b = _checked(a, b)
    pool, (n, m) = np.concatenate([a, b]), (len(a), len(b))
    rng = np.random.default_rng(seed)
    if bandwidth is None:
        some = rng.permutation(len(pool))[:_MOST_FOR_BANDWIDTH]
        apart = pdist(pool[some])
        bandwidth = float(np.median(apart[apart > 0])) if apart.any() else 0.0
    bandwidth = number_in(
        "bandwidth", bandwidth, 0, expected="a positive number", remedy="pass one, or check the draws"
    )

    in_a = _relabelled(n, m, num_permutations, rng).T.astype(np.float64)
    # The sums over pairs within a, within b and across follow from three, for all labels at once.
    within_a, from_a, total = np.zeros(in_a.shape[1]), np.zeros(in_a.shape[1]), 0.0
    to_sets = np.empty((len(pool), 2))
    for start in range(0, len(pool), rows_chunk):
        rows = slice(start, start + rows_chunk)
        kernel = rbf_kernel(pool[rows], pool, gamma=0.5 / bandwidth**2)
        kernel[np.arange(len(kernel)), start + np.arange(len(kernel))] = 0.0
        to_a, to_all = kernel @ in_a, kernel.sum(axis=1)
        within_a += (in_a[rows] * to_a).sum(axis=0)
        from_a += to_all @ in_a[rows]
        total += to_all.sum()
        to_sets[rows] = np.stack([to_a[:, 0], to_all - to_a[:, 0]], axis=1)
    across = from_a - within_a
    within_b = total - 2 * across - within_a
    values = within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2 * across / (n * m)
    of_a = to_sets[:n, 0] / (n - 1) - to_sets[:n, 1] / m
    of_b = to_sets[n:, 1] / (m - 1) - to_sets[n:, 0] / n
    null = values[1:]
    # Its surplus is left in: without it the error misses one value in ten where the sets are nearly alike.
    variance = 4 * of_a.var(ddof=1) / n + 4 * of_b.var(ddof=1) / m
    se = np.sqrt(max(variance, null.var())) * _for_few(n, m)
    return _against("MMD²", float(values[0]), float(se), null, n + m)


def classifier_two_sample(
    a: ArrayLike,
    b: ArrayLike,
    *,
    classifier: Literal["logistic", "neighbours"] | Any = "logistic",
    seed: int = 0,
) -> Distance:
    """Accuracy on one half of the draws of a classifier fitted to the other half (Lopez-Paz and Oquab 2017, section 3).

    0.5 is what exact draws give; 1 means that no draw of one set could be one of the other. The standard error (wide
    enough for Wilson's interval to lie within 1.96 of it) and the null are binomial in the half that is classified,
    given the classifier. Cross-validation would use all draws, but its folds share them, and the binomial law would
    call too many exact draws different. The larger set is cut to the size of the smaller one.

    **Arguments:** `a`, `b`, draws `(draw, ...)`; `classifier`: logistic regression on coordinates, squares and (up to
    20 coordinates) products, nearest neighbours, or any classifier of scikit-learn.

    **Raises:** `InputError` where draws are not finite, fewer than four, or of different shapes.
    """
    from scipy.stats import binomtest
    from sklearn.base import clone

    a, b = _checked(a, b, fewest=4)
    rng = np.random.default_rng(seed)
    size = min(len(a), len(b)) // 2
    parts = [rng.permutation(draws)[: 2 * size].reshape(2, size, -1) for draws in (a, b)]
    fitted, held_out = np.concatenate(parts, axis=1)
    labels = np.repeat([0, 1], size)
    chosen: Any = _classifier(classifier, a.shape[1], size) if isinstance(classifier, str) else clone(classifier)
    num_right = int(np.count_nonzero(chosen.fit(fitted, labels).predict(held_out) == labels))
    accuracy, num = num_right / len(labels), len(labels)
    value = Estimate(accuracy, _binomial_error(accuracy, num), num)
    p_value = float(binomtest(num_right, num, 0.5, alternative="greater").pvalue)
    return Distance("C2ST accuracy", value, 0.5, 0.5 / math.sqrt(num), p_value)


def _classifier(name: str, num_coordinates: int, size: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler

    if name == "neighbours":
        return make_pipeline(StandardScaler(), KNeighborsClassifier(max(1, math.isqrt(size) // 2)))
    if name != "logistic":
        raise InputError(
            "classifier", expected="'logistic', 'neighbours' or a classifier", got=repr(name), remedy="use the default"
        )
    crossed = PolynomialFeatures(2, include_bias=False)
    squared = FunctionTransformer(lambda x: np.concatenate([x, x**2], axis=1))
    features = crossed if num_coordinates <= _MOST_CROSSED else squared
    return make_pipeline(StandardScaler(), features, StandardScaler(), LogisticRegression(max_iter=1000))


def _relabelled(n: int, m: int, num_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Which draws of the pool are in the first set: as they are, and permuted; `(1 + permutation, draw)` of 0 and 1."""
    given = np.repeat(np.array([1, 0], np.int8), [n, m])
    return np.concatenate([given[None], rng.permuted(np.tile(given, (num_permutations, 1)), axis=1)])


def _against(name: str, value: float, se: float, null: np.ndarray, num: int) -> Distance:
    tie = 1e-9 * float(np.abs(null).max())  # equal figures differ in their last digits: discrete draws have many
    p_value = (1 + int((null >= value - tie).sum())) / (1 + len(null))
    return Distance(name, Estimate(value, se, num), float(null.mean()), float(null.std()), p_value)


def _checked(a: ArrayLike, b: ArrayLike, fewest: int = 2) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    for name, draws in (("a", a), ("b", b)):
        if draws.ndim == 0 or len(draws) < fewest or draws.size == 0 or not np.isfinite(draws).all():
            finite = "" if np.isfinite(draws).all() else ", not all finite"
            raise InputError(
                name,
                expected=f"finite draws (draw, ...), {fewest} or more",
                got=f"shape {draws.shape}{finite}",
                remedy="put the draws on the first axis",
            )
    expected = f"draws of shape {a.shape[1:]}"
    check_shape("b", b, (len(b), *a.shape[1:]), expected=expected, remedy="compare the same sites")
    return a.reshape(len(a), -1), b.reshape(len(b), -1)


def _for_few(n: int, m: int) -> float:
    """How much wider errors over draws must be for few of them."""
    return float(widening(min(n, m), CHI_SQUARE_1))


def _binomial_error(share: float, num: int) -> float:
    """So wide that 1.96 of it to either side hold Wilson's interval, which is not empty for a share of 1.

    With half a draw more for counts being whole numbers (Newcombe 1998).
    """
    per_draw = QUANTILE**2 / num
    centre = (share + per_draw / 2) / (1 + per_draw)
    half = math.sqrt(per_draw * (share * (1 - share) + per_draw / 4)) / (1 + per_draw)
    return (half + abs(centre - share) + 0.5 / num) / QUANTILE


def _plus_minus(mean: Any, se: Any) -> str:
    decimals = min(max(1 - math.floor(math.log10(se)), 0), 7) if se > 0 and math.isfinite(se) else 4
    return f"{mean:.{decimals}f} ± {se:.{decimals}f}"
