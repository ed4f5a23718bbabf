"""The Parzen window: the same values by other libraries, a density that integrates to one, and the width it has."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.neighbors import KernelDensity

from dpm_ppl._common.errors import InputError
from dpm_ppl.evaluation import parzen, parzen_log_density, parzen_score

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 5), (28, 28, 1)])
@pytest.mark.parametrize("width", [0.1, 0.7])
def test_it_is_a_kernel_density_estimate(shape, width, monkeypatch):
    monkeypatch.setattr(parzen, "_MOST_VALUES", 100)  # several chunks, the last of them short
    samples, x = RNG.random((30, *shape)), RNG.random((10, *shape))
    found = parzen_log_density(samples, x, width)
    other = KernelDensity(bandwidth=width, rtol=1e-12).fit(samples.reshape(30, -1))
    np.testing.assert_allclose(found, other.score_samples(x.reshape(10, -1)), rtol=1e-9)
    if math.prod(shape) < 50:  # beyond, densities leave the range of floats
        each = [multivariate_normal(mean.ravel(), width**2).pdf(x.reshape(10, -1)) for mean in samples]
        np.testing.assert_allclose(found, np.log(np.mean(each, axis=0)), rtol=1e-9)


def test_it_is_a_density():
    edge = np.linspace(-4, 5, 400)
    grid = np.stack(np.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    mass = np.exp(parzen_log_density(RNG.random((20, 2)), grid, 0.3)).sum() * (edge[1] - edge[0]) ** 2
    assert mass == pytest.approx(1, rel=1e-6)


def test_validation_data_choose_the_width_and_test_data_are_scored():
    samples, validation, test = (RNG.random((number, 2, 3)) for number in (200, 50, 2000))
    score = parzen_score(samples, validation, test)
    by_width = [parzen_log_density(samples, validation, float(width)).mean() for width in parzen.WIDTHS]
    assert score.width == parzen.WIDTHS[np.argmax(by_width)]
    values = parzen_log_density(samples, test, score.width)
    assert (score.log_density.num, score.num_samples) == (2000, 200)
    assert score.log_density.mean == pytest.approx(values.mean())
    assert score.log_density.se == pytest.approx(values.std(ddof=1) / math.sqrt(2000), rel=0.01)
    assert score.bits.mean == pytest.approx(values.mean() / math.log(2))
    # As published: ten widths from 0.1 to 1.
    np.testing.assert_allclose(np.log10(parzen.WIDTHS), np.arange(-9, 1) / 9, atol=1e-12)


def test_bad_input():
    data = np.zeros((4, 2))
    for argument, given in (
        ("samples", (np.zeros((0, 2)), data, data)),
        ("samples", (np.full((4, 2), np.nan), data, data)),
        ("validation", (data, np.zeros((4, 3)), data)),
        ("test", (data, data, np.zeros((4, 1, 2)))),
        ("widths", (data, data, data, [0.1, 0.0])),
        ("widths", (data, data, data, [])),
    ):
        with pytest.raises(InputError, match=rf"^{argument}:"):
            parzen_score(*given)
    with pytest.raises(InputError, match=r"^width:"):
        parzen_log_density(data, data, 0.0)
