"""What is odd about data is said, and nothing where nothing is."""

import re

import numpy as np
import pytest

from dpm_ppl.data import Dataset
from dpm_ppl.remarks import remarks, smallest_spread

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(1000, 3))


def beside(column, values=NORMAL):
    return np.c_[values, column]


ODD = {
    "coded answers": (beside(RNG.integers(1, 6, 1000) / 5), "columns 3 repeat exact values, .*--levels"),
    "class label": (beside(RNG.integers(0, 2, 1000)), "columns 3 repeat exact values"),
    "rounded": (np.round(NORMAL, 1), "columns 0, 1, 2 repeat exact values"),
    "whole numbers": (beside(RNG.integers(0, 10**6, 1000)), "columns 3 are whole numbers, .*--levels"),
    "copies": (np.tile(NORMAL[:500], (2, 1)), "500 of 1,000 data are copies"),
    "no variance": (beside(RNG.standard_cauchy(1000)), "columns 3 hold values 50 interquartile ranges off"),
    "a sum": (beside(NORMAL.sum(axis=1)), "some coordinates are sums of others"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_said(name):
    values, said = ODD[name]
    dataset = Dataset.from_continuous(values, per_coordinate=True)
    assert any(re.search(said, line) for line in remarks(dataset, dataset))


def test_constant_pixels_and_images_of_few_values():
    pixels = np.where(RNG.uniform(size=(300, 5, 4)) < 0.5, 0.0, 255.0)
    pixels[:, 0] = 0
    first, second = remarks(*[Dataset.from_continuous(pixels)] * 2)
    assert first.startswith("16 of 20 coordinates repeat exact values")
    assert second.startswith("4 of 20 coordinates do not vary")


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset.from_continuous(NORMAL),
        Dataset.from_continuous(np.exp(NORMAL)),
        Dataset.from_continuous(NORMAL.reshape(250, 3, 4)),
        Dataset.from_levels(RNG.integers(0, 9, (300, 8)), 9),
        Dataset.from_binary(RNG.integers(0, 2, (300, 20))),
    ],
    ids=["normal", "log-normal", "images", "levels", "bits"],
)
def test_nothing_is_said_of_ordinary_data(dataset):
    assert remarks(dataset, dataset) == ()


def test_few_held_out_data():
    dataset = Dataset.from_continuous(NORMAL)
    assert remarks(dataset, dataset.part(slice(5))) == ("only 5 held-out data: errors are rough",)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_spread_is_that_of_standardised_values(scale):
    """Of a grid, its step; of dequantised levels, their width."""
    dataset = Dataset.from_continuous(scale * RNG.permutation(np.arange(1000.0)))
    assert smallest_spread(dataset) == pytest.approx(np.sqrt(12) / 1000, rel=1e-3)
    levels = Dataset.from_levels(RNG.integers(0, 9, (300, 8)), 9)
    assert smallest_spread(levels) == pytest.approx(1 / levels.units.scale)
