"""Tables of named columns: read, fitted and drawn under their names and kinds."""

import jax
import numpy as np
import pandas
import pytest

from dpm_ppl.columns import SUFFIXES, Column, Table, frame_of, read_frame, write_frame
from dpm_ppl.data import Dataset

RNG = np.random.default_rng(0)
NUM = 300
FRAME = pandas.DataFrame(
    {
        "height": RNG.normal(170, 10, NUM),
        "children": RNG.poisson(2, NUM),
        "smokes": RNG.uniform(size=NUM) < 0.3,
        "town": RNG.choice(["Ulm", "Bonn", "Köln"], NUM, p=[0.5, 0.3, 0.2]),
        "born": RNG.integers(0, 10**7, NUM),
    }
)
KINDS = ["real", "whole", "bool", "category", "real"]


def test_the_kind_of_a_column_follows_from_its_values():
    table = Table.of_frame(FRAME)
    assert [column.kind for column in table.columns] == KINDS
    assert table.columns[1] == Column("children", "whole", 0, int(FRAME.children.max()))
    assert table.columns[3].labels == ("Bonn", "Köln", "Ulm")
    np.testing.assert_array_equal(table.values[:, 3], [("Bonn", "Köln", "Ulm").index(town) for town in FRAME.town])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_and_kinds_survive_a_file(suffix, tmp_path):
    table = Table.of_frame(FRAME)
    with (tmp_path / f"x{suffix}").open("wb") as file:
        write_frame(frame_of(table.columns, table.values), file, suffix)
    again = Table.of_frame(read_frame(tmp_path / f"x{suffix}"))
    assert again.columns == table.columns
    np.testing.assert_allclose(again.values, table.values, rtol=1e-12)


@pytest.fixture(scope="module")
def dataset():
    return Dataset.from_table(Table.of_frame(FRAME))


def test_discrete_columns_are_dequantised_and_real_ones_are_not(dataset):
    rows, table = jax.numpy.asarray(dataset.values), Table.of_frame(FRAME)
    draws = np.stack([np.asarray(dataset.draw(rows, jax.random.key(seed))) for seed in range(20)])
    x = dataset.units.unstandardise(draws) - table.values
    real = [0, 4]
    np.testing.assert_allclose(x[..., real] / dataset.units.scale[real], 0, atol=1e-6)
    noise = x[..., [1, 2, 3]]
    assert (noise > -1e-5).all()
    assert (noise < 1 + 1e-5).all()
    assert noise.mean() == pytest.approx(1 / 2, abs=4 * np.sqrt(1 / 12 / noise.size))
    # The scale is that of what training sees.
    assert draws.reshape(-1, 5).std(axis=0) == pytest.approx(np.ones(5), abs=4 / np.sqrt(2 * NUM))


def test_draws_come_back_as_what_was_read(dataset):
    z = dataset.draw(jax.numpy.asarray(dataset.values), jax.random.key(1))
    frame = frame_of(dataset.units.columns, dataset.units.as_given(z))
    for name in ("children", "smokes", "town"):
        assert frame[name].astype(FRAME[name].dtype).tolist() == FRAME[name].tolist()
    far = dataset.units.as_given(np.full((1, 5), 99.0))[0]
    assert far[1:4].tolist() == [FRAME.children.max(), 1, 2]


def test_another_table_takes_the_codes_of_the_first():
    table, part = Table.of_frame(FRAME), FRAME[FRAME.town != "Bonn"].iloc[:, ::-1]
    again = Table.of_frame(part, like=table)
    assert again.columns == table.columns
    np.testing.assert_array_equal(again.values, table.values[(FRAME.town != "Bonn").to_numpy()])
