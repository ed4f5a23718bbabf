"""What is odd about data is said, and nothing where nothing is."""

import re

import numpy as np
import pytest

from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.remarks import remarks, smallest_spread

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(1000, 3))


def beside(column, values=NORMAL):
    return np.c_[values, column]


ODD = {
    "rounded": (np.round(NORMAL, 1), "exact values repeat in columns 0, 1 and 2: .*add noise"),
    "coded answers": (beside(RNG.integers(1, 6, 1000) / 5), "exact values repeat in column 3: .*add noise"),
    "class label": (beside(RNG.integers(0, 2, 1000)), "whole numbers in column 3: .*--levels"),
    "whole numbers": (beside(RNG.integers(0, 10**6, 1000)), "whole numbers in column 3: .*--levels"),
    "names of rows": (beside(np.arange(5000, 6000)), "column 3 numbers the rows"),
    "no variance": (
        beside(RNG.standard_cauchy(1000)),
        "over 50 interquartile ranges from the median in column 3",
    ),
    "a sum": (beside(NORMAL.sum(axis=1)), "some coordinates are sums of others"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_said(name):
    values, said = ODD[name]
    dataset = Dataset.from_continuous(values, per_coordinate=True)
    lines = remarks(dataset.part(slice(900)), dataset.part(slice(900, None)))
    assert any(re.search(said, line) for line in lines)
    assert len(lines) == 1 or name == "rounded"


def test_constant_pixels_and_images_of_few_values():
    pixels = np.where(RNG.uniform(size=(300, 5, 4)) < 0.5, 0.0, 255.0)
    pixels[:, 0] = 0
    first, second = remarks(Dataset.from_continuous(pixels), Dataset.from_continuous(pixels[::-1] + 0.5))
    assert first.startswith("4 of 20 coordinates of the same value throughout")
    assert second.startswith("whole numbers in 16 of 20 coordinates")


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset.from_continuous(NORMAL),
        Dataset.from_continuous(np.exp(NORMAL)),
        Dataset.from_continuous(NORMAL.reshape(250, 3, 4)),
        Dataset.from_levels(RNG.integers(0, 9, (300, 8)), 9),
        Dataset.from_levels(RNG.integers(0, 3, (300, 2)), 3),
        Dataset.from_binary(RNG.integers(0, 2, (300, 20))),
        Dataset.from_binary(RNG.integers(0, 2, (300, 3))),
    ],
    ids=["normal", "log-normal", "images", "levels", "few levels", "bits", "few bits"],
)
def test_nothing_is_said_of_ordinary_data(dataset):
    half = dataset.num_points // 2
    assert remarks(dataset.part(slice(half)), dataset.part(slice(half, None))) == ()


@pytest.mark.parametrize(
    "dataset",
    [Dataset.from_continuous(NORMAL), Dataset.from_binary(RNG.integers(0, 2, (300, 20)))],
    ids=["real", "bits"],
)
def test_held_out_data_that_are_few_or_copies(dataset):
    few, new = dataset.part(slice(5)), dataset.part(slice(5, None))
    assert remarks(new, few) == ("only 5 held-out data: the errors are rough",)
    (copies,) = remarks(dataset, dataset.part(slice(40)))
    assert copies.startswith("40 of 40 held-out data are copies of others")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_spread_is_that_of_standardised_values(scale):
    """Of a grid, its step; of dequantised levels, their width."""
    dataset = Dataset.from_continuous(scale * RNG.permutation(np.arange(1000.0)))
    assert smallest_spread(dataset) == pytest.approx(np.sqrt(12) / 1000, rel=1e-3)
    levels = Dataset.from_levels(RNG.integers(0, 9, (300, 8)), 9)
    assert smallest_spread(levels) == pytest.approx(1 / levels.units.scale)
