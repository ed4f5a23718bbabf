import numpy as np
import pytest

from benchmarks.seeds import chosen, table

RUNG = {"num_particles": 512, "mean": -2.5, "se": 0.1, "gap": {"mean": 0.2, "se": 0.1}}


def facts(K, bits_per_dim=None):
    known = None if bits_per_dim else {"mean": -2.3, "se": 0.0}
    return {
        "K": {"mean": K, "se": 0.02},
        "unit": "bits/point",
        "bits_per_dim": bits_per_dim,
        "exact": known,
        "gap": known,
    }


def test_a_row_for_each_seed_then_mean_and_spread():
    head, _, *rows, last = table([chosen(facts(K)) for K in (-2.0, -2.5, -2.7)]).splitlines()
    assert head == "| seed | K, bits/point | exact | gap |"
    assert rows[1] == "| 1 | -2.500 ± 0.020 | -2.3000 | -2.3000 |"
    spread = np.std([-2.0, -2.5, -2.7], ddof=1)
    assert f"| mean ± spread | -2.40 ± {spread:.2f} |" in last


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, ["K, bits/point", "exact", "gap"]),
        ({"importance_weighted": [RUNG]}, ["K, bits/point", "exact", "gap", "S = 512", "gap, S = 512"]),
    ],
)
def test_figures_are_those_asked_for(more, names):
    assert list(chosen(facts(-2.0) | more)) == names


def test_levels_are_told_in_bits_per_dim():
    dims = {"mean": 2.0, "se": 0.01}
    weights = {"importance_weighted": [RUNG | {"gap": None}], "importance_weighted_bits_per_dim": dims}
    assert chosen(facts(-2.0, dims) | weights) == {"K, bits/dim": dims, "S = 512": dims}
